"""Layers that work on each element, without params."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from functional_dl._guard import Maths, layer
from functional_dl._numerics import times_one_minus_square, times_sigmoid_slope, where_positive
from functional_dl.contract import Cotangents, Params, Pullback


@layer
def relu() -> Maths:
    """Y = max(X, 0).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y where Y is positive or NaN, +0 elsewhere

    At X = 0 the gradient is 0, as in PyTorch, so that Y alone decides and X need not be kept. ∇Y is
    not multiplied by a mask of zeros and ones, which would turn its infinities into NaN where a
    unit is off. (Only the files that `to_onnx` writes do so.)

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    return _elementwise(Tensor.relu, where_positive)


@layer
def sigmoid() -> Maths:
    """Y = 1 / (1 + exp(−X)).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ (1 − Y) ⊙ Y

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    return _elementwise(Tensor.sigmoid, times_sigmoid_slope)


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
