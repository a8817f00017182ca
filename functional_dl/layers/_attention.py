"""Attention: each position of a sequence takes from others what it asks for."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.compiler import is_compiling

from functional_dl._errors import check_sizes
from functional_dl._guard import Maths, layer
from functional_dl._numerics import in_single, matrices, plus_product, rows, scaled_product
from functional_dl.contract import Cotangents, Layer, Params, Pullback
from functional_dl.layers._combinators import sequential
from functional_dl.layers._linear import linear

LARGE = 1 << 17
"""A P of more elements is not kept, and computed anew on the way back, but in compiled code."""


@layer
def attention(heads: int, causal: bool = True) -> Maths:
    """Y = P V, with P = softmax(Q Kᵀ / √d), for each head; X = [Q K V].

    Q, K and V have a row of d features for each position and head. Row i of Q Kᵀ holds how position
    i matches each j; softmax makes of it weights that sum up to one, with 0 for j > i if causal.

    Backward, for a cotangent ∇Y. Softmax couples a row: with S for its argument,
    ∂P_j/∂S_k = P_j (1[j = k] − P_k), so that ∇S has the mean of ∇P under P taken off:

        ∇V = Pᵀ ∇Y
        ∇P = ∇Y Vᵀ
        ∇S = P ⊙ (∇P − δ), with δ = Σ_j P_j ∇P_j = Σ ∇Y ⊙ Y for each row, since Y = P V
        ∇Q = ∇S K / √d
        ∇K = ∇Sᵀ Q / √d

    Bits: not those of PyTorch's scaled_dot_product_attention, but at most a quarter further from
    double precision, for finite numbers. What is hidden counts as 0 times its value: if that is
    infinite or NaN, the row becomes NaN.

    Args:
        heads: H, how many heads there are.
        causal: Whether a position is to see itself and what is before it, or all.

    Returns:
        A layer from (..., T, 3 H d), with the queries of all heads first, then keys and values, to
        (..., T, H d), without params.

    Raises:
        ValueError: heads is no positive integer. The layer raises it for features that 3 H doesn't
            divide, and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.

    Source:
        Vaswani et al., "Attention is all you need", NeurIPS 2017.
    """
    check_sizes("attention", heads=heads)

    def vjp(params: Params, x: Float[Tensor, "*N T A"]) -> tuple[Float[Tensor, "*N T B"], Pullback]:
        if x.element_size() == 2:
            return in_single(vjp, params, x)
        shape = x.shape
        q, k, v = matrices(x, 3, heads)
        scale, t = 1 / math.sqrt(q.shape[-1]), q.shape[-2]

        def probabilities() -> Tensor:
            hidden = torch.full((t, t), -math.inf if causal else 0, dtype=q.dtype, device=q.device)
            return plus_product(hidden.triu(1), q, k.mT, scale=scale).softmax(-1)

        p = probabilities()
        y = rows([p.bmm(v)], (*shape[:-1], shape[-1] // 3))
        kept = p if is_compiling() or p.numel() <= LARGE else None

        def pullback(gy: Float[Tensor, "*N T B"], *, wrt_input: bool = True) -> Cotangents:
            if not wrt_input:
                return {}, None
            by_head = (gy * y).unflatten(-1, (heads, -1)).sum(-1)
            delta, (gy,) = by_head.mT.reshape(*q.shape[:2], 1), matrices(gy, 1, heads)
            p = probabilities() if kept is None else kept
            gs = plus_product(delta, gy, v.mT, beta=-1.0).mul_(p)
            gq, gk = scaled_product(gs, k, scale), scaled_product(gs.mT, q, scale)
            return {}, rows([gq, gk, p.mT.bmm(gy)], shape)

        return y, pullback

    def takes(shape: torch.Size) -> bool:
        return len(shape) > 1 and shape[-1] > 0 and shape[-1] % (3 * heads) == 0

    return Maths(vjp, takes=(takes, f"(..., T, A), with A a multiple of {3 * heads}"))


def self_attention(features: int, heads: int, causal: bool = True, bias: bool = True) -> Layer:
    """Y = attention(X Wᵀ + b) Uᵀ + c: queries, keys and values of X by one product.

    Backward is that of `sequential`.

    Args:
        features: D, the size of the last dimension of X, a multiple of heads.
        heads: As for `attention`.
        causal: As for `attention`.
        bias: Whether there are b and c.

    Returns:
        `sequential(linear(D, 3 D), attention(heads), linear(D, D))`, a layer over (..., T, D). Its
        params are those of torch.nn's MultiheadAttention under other names: "0.weight" is
        "in_proj_weight" there, and "2.weight" is "out_proj.weight".

    Raises:
        ValueError: A size is no positive integer, or heads doesn't divide features.
    """
    check_sizes("self_attention", features=features, heads=heads)
    if features % heads:
        what = f"features that are a multiple of heads, got {features} and {heads}"
        raise ValueError(f"self_attention: expected {what}")
    return sequential(
        linear(features, 3 * features, bias),
        attention(heads, causal),
        linear(features, features, bias),
    )
