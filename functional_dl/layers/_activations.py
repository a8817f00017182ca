"""Layers that work on each element, without params."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from functional_dl._guard import Maths, layer
from functional_dl._numerics import times_one_minus_square, where_positive
from functional_dl.contract import Cotangents, Params, Pullback


@layer
def relu() -> Maths:
    """Y = max(X, 0).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y where Y is positive or NaN, +0 elsewhere

    At X = 0 the gradient is 0, as in PyTorch; so Y says it all, and X need not be kept. This is a
    choice: unlike a product with a mask, it lets no infinity or NaN through a unit that is off.
    (Only what `functional_dl.export` makes of it is a product.)

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    return _elementwise(Tensor.relu, where_positive)


@layer
def tanh() -> Maths:
    """Y = tanh(X).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ (1 − Y²)

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    return _elementwise(Tensor.tanh, times_one_minus_square)


def _elementwise(
    forward: Callable[[Tensor], Tensor], backward: Callable[[Tensor, Tensor], Tensor]
) -> Maths:
    """Y = forward(X) and ∇X = backward(∇Y, Y), which needs no X."""

    def vjp(params: Params, x: Float[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Pullback]:
        y = forward(x)

        def pullback(gy: Float[Tensor, "*N"], *, wrt_input: bool = True) -> Cotangents:
            return {}, backward(gy, y) if wrt_input else None

        return y, pullback

    return Maths(vjp)
