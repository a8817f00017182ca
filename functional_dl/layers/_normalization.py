"""Layers that bring each row of features to one scale."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import check_sizes, unpromoted
from functional_dl._guard import Maths, layer
from functional_dl._numerics import (
    Constant,
    at_least_single,
    channels_last,
    in_order,
    in_single,
    less_projections,
    moments,
)
from functional_dl.contract import Cotangents, Generator, Params, Pullback


@layer
def rms_norm(features: int, eps: float = 1e-5) -> Maths:
    """Y = N ⊙ w, with N = X r and r = 1 / √(mean(X²) + ε) for each row.

    Backward, for a cotangent ∇Y. X counts twice, as a factor of N and within r; so ∇X has two
    terms, of which the second follows X:

        ∇w = Σ ∇Y ⊙ N, over the rows
        ∇N = ∇Y ⊙ w
        ∇v = −½ r³ Σ ∇N ⊙ X, over the features: the gradient of v = mean(X²) + ε
        ∇X = ∇N r + X (2/D) ∇v

    Bits: PyTorch's own, value and gradient.

    Args:
        features: D, the size of the last dimension of X.
        eps: ε, not negative.

    Returns:
        A layer over (..., D), with params {"weight": (D,)}, which start at one.

    Raises:
        ValueError: features is no positive integer, or eps negative. The layer raises it for params
            with other keys, and for a leaf, an input or a cotangent of another shape.
        TypeError: eps is no number. The layer raises it for tensors that are not floating or differ
            in dtype.

    Source:
        Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019.
    """
    check_sizes("rms_norm", features=features)
    _check_eps("rms_norm", eps)
    numbers = [*map(Constant, (features, eps, 2, -0.5))]

    def vjp(params: Params, x: Float[Tensor, "*N D"]) -> tuple[Float[Tensor, "*N D"], Pullback]:
        if x.element_size() == 2:
            return in_single(vjp, params, x)
        w = unpromoted(params["weight"], x)
        count, offset, two, minus_half = [number[x.dtype] for number in numbers]
        r = x.square().sum(-1, keepdim=True).div_(count).add_(offset).rsqrt_()

        def pullback(gy: Float[Tensor, "*N D"], *, wrt_input: bool = True) -> Cotangents:
            grads = {"weight": (gy * (x * r)).sum_to_size(features)}
            if not wrt_input:
                return grads, None
            gn = gy * w
            gv = (gn * x).sum_to_size(r.shape).mul_(minus_half).mul_(r.pow(3))
            return grads, (gn * r).add_(x * gv.div_(count).mul_(two))

        # N is made anew on the way back, and not kept; Y is laid out as PyTorch's is.
        return in_order(x * r * w, channels_last(x)), pullback

    takes = lambda shape: shape[-1:] == (features,), f"(..., {features})"
    return Maths(vjp, {"weight": (features,)}, _one_and_zero, takes=takes)


@layer
def layer_norm(features: int, eps: float = 1e-5, bias: bool = True) -> Maths:
    """Y = N ⊙ w + b, with N = (X − mean(X)) r and r = 1 / √(var(X) + ε) for each row.

    Backward, for a cotangent ∇Y. X counts three times, in N itself, in its mean and in its
    variance; so ∇X has three terms, which take from ∇N what is constant and what follows N, neither
    of which changes N:

        ∇w = Σ ∇Y ⊙ N, over the rows
        ∇b = Σ ∇Y, over the rows
        ∇N = ∇Y ⊙ w
        ∇X = (∇N − mean(∇N) − N mean(∇N ⊙ N)) r

    Bits: the value is PyTorch's own; gradients are not, but at most a quarter further from double
    precision.

    Args:
        features: D, the size of the last dimension of X.
        eps: ε, not negative.
        bias: Whether there is a b.

    Returns:
        A layer over (..., D), with params {"weight": (D,), "bias": (D,)}, which start at one and
        zero.

    Raises:
        ValueError: As for `rms_norm`.
        TypeError: As for `rms_norm`.

    Source:
        Ba et al., "Layer normalization", 2016.
    """
    check_sizes("layer_norm", features=features)
    _check_eps("layer_norm", eps)

    def vjp(params: Params, x: Float[Tensor, "*N D"]) -> tuple[Float[Tensor, "*N D"], Pullback]:
        dtype, w, b = x.dtype, unpromoted(params["weight"], x), params.get("bias")
        y, mean, r = torch.native_layer_norm(x, [features], w, b, eps)
        mean, r = moments(x, mean, r, eps)

        def pullback(gy: Float[Tensor, "*N D"], *, wrt_input: bool = True) -> Cotangents:
            gy, n = at_least_single(gy), (at_least_single(x) - mean).mul_(r)
            gy_n = gy * n
            grads = {"weight": gy_n.sum_to_size(features).to(dtype)}
            if bias:
                grads["bias"] = gy.sum_to_size(features).to(dtype, copy=True)
            if not wrt_input:
                return grads, None
            gx = less_projections(n, gy, at_least_single(w), gy_n).mul_(r)
            return grads, gx.to(dtype) if dtype.itemsize == 2 else gx

        return y, pullback

    takes = lambda shape: shape[-1:] == (features,), f"(..., {features})"
    shapes = {"weight": (features,)} | ({"bias": (features,)} if bias else {})
    return Maths(vjp, shapes, _one_and_zero, takes=takes)


def _one_and_zero(params: Params, generator: Generator) -> None:
    for k, p in params.items():
        p.fill_(k == "weight")


def _check_eps(name: str, eps: object) -> None:
    if not isinstance(eps, (int, float)):
        raise TypeError(f"{name}: expected eps to be a number, got {eps!r}")
    if not eps >= 0:
        raise ValueError(f"{name}: expected eps not to be negative, got {eps!r}")
