"""Losses of a prediction of numbers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from functional_dl._guard import loss
from functional_dl._numerics import times_number
from functional_dl.contract import LossPullback, LossVjp


@loss
def mse() -> LossVjp:
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
        error = y - t

        def pullback() -> Float[Tensor, "*N"]:
            return times_number(error, 2 / (error.numel() or 1))

        return (error * error).mean(), pullback

    return vjp
