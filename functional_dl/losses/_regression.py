"""Losses of a prediction of numbers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._guard import loss
from functional_dl._numerics import times_number
from functional_dl.contract import LossPullback, LossVjp
from functional_dl.losses._reduction import reducing


@loss
def mse(reduction: str = "mean") -> LossVjp:
    """L = ‖Y − T‖² / n, where n is the number of elements of Y, or 1 for a sum.

    Backward:

        ∇Y = (Y − T) · 2/n

    Bits: PyTorch's own, value and gradient.

    Args:
        reduction: "mean" or "sum".

    Returns:
        A loss of a prediction Y and a target T, both (...). A mean of no elements is NaN.

    Raises:
        ValueError: reduction is neither. The loss raises it for shapes that differ, also where they
            would broadcast.
        TypeError: The loss raises it for tensors that are not floating or differ in dtype.
    """
    reduce, count = reducing("mse", reduction)

    def vjp(
        y: Float[Tensor, "*N"], t: Float[Tensor, "*N"]
    ) -> tuple[Float[Tensor, ""], LossPullback]:
        error = y - t

        def pullback() -> Float[Tensor, "*N"]:
            return times_number(error, 2 / count(error))

        return reduce(error * error), pullback

    return vjp


@loss
def l1(reduction: str = "mean") -> LossVjp:
    """L = Σ |Y − T| / n, where n is the number of elements of Y, or 1 for a sum.

    Backward:

        ∇Y = sign(Y − T) / n

    Bits: PyTorch's own, value and gradient.

    Args:
        reduction: "mean" or "sum".

    Returns:
        A loss of a prediction Y and a target T, both (...). A mean of no elements is NaN.

    Raises:
        ValueError: reduction is neither. The loss raises it for shapes that differ, also where they
            would broadcast.
        TypeError: The loss raises it for tensors that are not floating or differ in dtype.
    """
    reduce, count = reducing("l1", reduction)

    def vjp(
        y: Float[Tensor, "*N"], t: Float[Tensor, "*N"]
    ) -> tuple[Float[Tensor, ""], LossPullback]:
        error = y - t

        def pullback() -> Float[Tensor, "*N"]:
            n, sign = count(error), error.sign()
            return sign if n == 1 else times_number(sign, 1 / n)  # a sum's is laid out as Y − T

        return reduce(error.abs()), pullback

    return vjp


@loss
def huber(delta: float = 1.0, reduction: str = "mean") -> LossVjp:
    """L = Σ E ⊙ (Y − T − E/2) / n, where E is Y − T, but at least −δ and at most δ.

    That is ½(Y − T)² up to δ, and beyond it δ|Y − T| − ½δ²; n is the number of elements of Y, or 1
    for a sum. Backward:

        ∇Y = E / n

    Bits: PyTorch's own, value and gradient, where δ is a number of Y's dtype; but the value in
    float16, which PyTorch computes in single precision, and that of a Y which repeats an element in
    memory, which it sums in another order.

    Args:
        delta: δ, above 0.
        reduction: "mean" or "sum".

    Returns:
        A loss of a prediction Y and a target T, both (...). A mean of no elements is NaN.

    Raises:
        ValueError: delta is not above 0, or reduction is neither. The loss raises it for shapes
            that differ, also where they would broadcast.
        TypeError: delta is no number. The loss raises it for tensors that are not floating or
            differ in dtype.

    Source:
        Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35,
        1964.
    """
    if not isinstance(delta, (int, float)):
        raise TypeError(f"huber: expected delta to be a number, got {delta!r}")
    if not delta > 0:
        raise ValueError(f"huber: expected delta to be above 0, got {delta!r}")
    reduce, count = reducing("huber", reduction)

    def vjp(
        y: Float[Tensor, "*N"], t: Float[Tensor, "*N"]
    ) -> tuple[Float[Tensor, ""], LossPullback]:
        error = y - t
        near = error.clamp(-delta, delta)

        def pullback() -> Float[Tensor, "*N"]:
            return times_number(near, 1 / count(near))

        return reduce(torch.sub(error, near, alpha=0.5).mul_(near)), pullback

    return vjp
