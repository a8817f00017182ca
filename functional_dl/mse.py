"""The mean squared error."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_floating, not_like
from functional_dl.contract import Loss, LossPullback


def mse() -> Loss:
    """L = ‖Y − T‖² / n, where n is the number of elements of Y.

    Backward:

        ∇Y = (Y − T) · 2/n

    Returns:
        A loss of a prediction Y and a target T, both (...). With no elements, L is NaN.

    Raises:
        ValueError: The loss raises it for shapes that differ, also where they would broadcast.
        TypeError: The loss raises it for tensors that are not floating or differ in dtype.
    """

    def vjp(
        y: Float[Tensor, "*N"], t: Float[Tensor, "*N"]
    ) -> tuple[Float[Tensor, ""], LossPullback]:
        if not y.is_floating_point():
            raise not_floating("mse", "the prediction", y)
        if t.shape != y.shape or t.dtype != y.dtype:
            raise not_like("mse", "the target", t, y.dtype, y.shape)
        error = y - t

        def pullback() -> Float[Tensor, "*N"]:
            # 2/n in the dtype of Y: half precision rounds it before the product.
            return error * error.new_full((), 2 / (error.numel() or 1))

        return (error * error).mean(), pullback

    def apply(y: Float[Tensor, "*N"], t: Float[Tensor, "*N"]) -> Float[Tensor, ""]:
        return vjp(y, t)[0]

    return Loss(apply, vjp)
