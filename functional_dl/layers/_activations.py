"""Layers that work on each element, without params."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._guard import Maths, layer
from functional_dl._numerics import (
    at_least_single,
    logistic_distribution,
    logistic_slope,
    normal_distribution,
    normal_slope,
    one_or,
    times_factor,
    times_one_minus_square,
    times_sigmoid_slope,
    times_twice,
    where_positive,
    written_on,
)
from functional_dl.contract import Cotangents, Params, Pullback


@layer
def relu() -> Maths:
    """Y = max(X, 0).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y where Y is positive or NaN, +0 elsewhere

    At X = 0 the gradient is 0, as in PyTorch, so that Y alone decides and X need not be kept. ∇Y is
    not multiplied by a mask of zeros and ones, which would turn its infinities into NaN where a
    unit is off. (Only the files that `to_onnx` writes do so.)

    Bits: PyTorch's own, value and gradient.

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    return _elementwise(Tensor.relu, where_positive)


@layer
def relu_squared() -> Maths:
    """Y = R², with R = max(X, 0).

    Backward, for a cotangent ∇Y:

        ∇X = 2 R ⊙ ∇Y

    Bits: those of autograd of `x.relu().square()`, value and gradient, for finite numbers; here, an
    infinite ∇Y gives NaN where R is 0.

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.

    Source:
        So et al., "Primer: searching for efficient transformers for language modeling", NeurIPS
        2021.
    """

    def forward(x: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        r = x.relu()
        return r * r, (r,)

    return _rounded_once(forward, times_twice)


@layer
def leaky_relu(slope: float = 0.01) -> Maths:
    """Y = X ⊙ F, with F = 1 where X is positive, slope elsewhere.

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ F

    Bits: PyTorch's own, value and gradient.

    Args:
        slope: From 0 to 1.

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: slope is not in [0, 1]. The layer raises it for params and for a cotangent of
            another shape.
        TypeError: slope is no number. The layer raises it for tensors that are not floating or
            differ in dtype.

    Source:
        Maas et al., "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.
    """
    if not isinstance(slope, (int, float)):
        raise TypeError(f"leaky_relu: expected slope to be a number, got {slope!r}")
    if not 0 <= slope <= 1:
        raise ValueError(f"leaky_relu: expected slope in [0, 1], got {slope!r}")

    def forward(x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        factor = one_or(at_least_single(x), slope)
        return x * factor, (x, factor)

    return _rounded_once(forward, times_factor)


@layer
def sigmoid() -> Maths:
    """Y = 1 / (1 + exp(−X)).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ (1 − Y) ⊙ Y

    Bits: PyTorch's own, value and gradient.

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    return _elementwise(Tensor.sigmoid, times_sigmoid_slope)


@layer
def silu() -> Maths:
    """Y = X ⊙ S, with S = 1 / (1 + exp(−X)).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ (S + Y ⊙ (1 − S))

    Bits: not PyTorch's, but at most a quarter further from double precision.

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.

    Source:
        Elfwing et al., "Sigmoid-weighted linear units for neural network function approximation in
        reinforcement learning", Neural Networks 107, 2018.
    """

    def forward(x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        s = at_least_single(x).sigmoid()
        y = x * s
        return y, (y, s)

    def backward(gy: Tensor, y: Tensor, s: Tensor) -> Tensor:
        return gy * y.lerp(s.new_ones(()), s)

    return _rounded_once(forward, backward)


@layer
def gelu(approximate: str = "none") -> Maths:
    """Y = X ⊙ Φ, with Φ = P(Z ≤ X) for a standard normal Z, which is (1 + erf(X/√2)) / 2.

    With approximate="tanh", Φ = 1 / (1 + exp(−U)), with U = √(8/π) (X + 0.044715 X³), which is
    (1 + tanh(U/2)) / 2. Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ (Φ + X ⊙ Φ')    Φ' = exp(−X²/2) / √(2π), or Φ ⊙ (1 − Φ) ⊙ dU/dX

    Bits: not PyTorch's, but at most a quarter further from double precision.

    Args:
        approximate: "none" or "tanh".

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: approximate is neither. The layer raises it for params and for a cotangent of
            another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.

    Source:
        Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415, 2016.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: expected approximate to be 'none' or 'tanh', got {approximate!r}")
    distribution, slope = (
        (normal_distribution, normal_slope)
        if approximate == "none"
        else (logistic_distribution, logistic_slope)
    )

    def forward(x: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        x = at_least_single(x)
        phi = distribution(x)
        kept = slope(x, phi)  # before phi is written on
        return written_on(phi, torch.mul, x, phi), (kept,)

    def apply(params: Params, x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        return (x * distribution(at_least_single(x))).to(x.dtype)

    return _rounded_once(forward, torch.mul)._replace(apply=apply)


@layer
def tanh() -> Maths:
    """Y = tanh(X).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ (1 − Y²)

    Bits: PyTorch's own, value and gradient.

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


def _rounded_once(
    forward: Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]],
    backward: Callable[..., Tensor],
) -> Maths:
    """(Y, kept) = forward(X) and ∇X = backward(∇Y, *kept), which may be of single precision.

    Like PyTorch's kernels, which round to half precision once, at the end.
    """

    def vjp(params: Params, x: Float[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Pullback]:
        y, kept = forward(x)

        def pullback(gy: Float[Tensor, "*N"], *, wrt_input: bool = True) -> Cotangents:
            return {}, backward(gy, *kept).to(gy.dtype) if wrt_input else None

        return y.to(x.dtype), pullback

    return Maths(vjp, recomputed=True)
