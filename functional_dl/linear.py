"""The affine map."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_floating, not_keyed, not_like
from functional_dl.contract import Device, Dtype, Generator, Layer, Params, Pullback


def linear(in_features: int, out_features: int, bias: bool = True) -> Layer:
    """Y = X Wᵀ + b.

    Backward, for a cotangent ∇Y; the leading dimensions count as one, of N samples:

        ∇W = (∇Y)ᵀ X
        ∇b = 1_N ∇Y
        ∇X = ∇Y W

    Args:
        in_features: A, the size of the last dimension of X.
        out_features: B, the size of the last dimension of Y.
        bias: Whether there is a b.

    Returns:
        A layer from (..., A) to (..., B), with params {"weight": (B, A), "bias": (B,)}, drawn
        from U[−1/√A, 1/√A], weight first, as PyTorch's Linear draws them.

    Raises:
        ValueError: A size is no positive integer. The layer raises it for params with other keys,
            and for a leaf, an input or a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    for name, size in (("in_features", in_features), ("out_features", out_features)):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"linear: expected {name} to be a positive integer, got {size!r}")
    shapes: dict[str, tuple[int, ...]] = {"weight": (out_features, in_features)}
    if bias:
        shapes["bias"] = (out_features,)

    def init(generator: Generator = None, *, dtype: Dtype = None, device: Device = None) -> Params:
        # Both are 1/√A; the weight's is rounded as in PyTorch's Linear, which shows in float64.
        weight_bound = math.sqrt(3) * (math.sqrt(1 / 3) / math.sqrt(in_features))
        bounds = {"weight": weight_bound, "bias": 1 / math.sqrt(in_features)}
        params = {k: torch.empty(s, dtype=dtype, device=device) for k, s in shapes.items()}
        for k, p in params.items():
            p.uniform_(-bounds[k], bounds[k], generator=generator)
        return params

    def vjp(params: Params, x: Float[Tensor, "*N A"]) -> tuple[Float[Tensor, "*N B"], Pullback]:
        if not x.is_floating_point():
            raise not_floating("linear", "x", x)
        if x.shape[-1:] != (in_features,):
            shape = tuple(x.shape)
            raise ValueError(f"linear: expected x of shape (..., {in_features}), got {shape}")
        if not isinstance(params, dict) or params.keys() != shapes.keys():
            raise not_keyed("linear", "params", params, shapes)
        for k, p in params.items():
            if not isinstance(p, Tensor) or p.dtype != x.dtype or p.shape != shapes[k]:
                raise not_like("linear", f"params[{k!r}]", p, x.dtype, shapes[k])

        weight = params["weight"]
        rows = x if x.dim() == 2 else x.reshape(-1, in_features)
        # Where PyTorch adds b within the product, which rounds once less.
        fused = bias and (rows is x or (x.is_contiguous() and params["bias"].is_contiguous()))
        y = torch.addmm(params["bias"], rows, weight.t()) if fused else rows.mm(weight.t())
        if bias and not fused:
            y = y + params["bias"]
        if rows is not x:
            y = y.reshape(*x.shape[:-1], out_features)

        def pullback(
            gy: Float[Tensor, "*N B"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*N A"] | None]:
            if gy.shape != y.shape or gy.dtype != y.dtype:
                raise not_like("linear", "the cotangent", gy, y.dtype, y.shape)
            gy_rows = gy if rows is x else gy.reshape(-1, out_features)
            # A product's gradient is laid out as its factor is, by rows or by columns.
            if weight.stride() == (in_features, 1):
                grads = {"weight": gy_rows.t().mm(rows)}
            else:
                grads = {"weight": rows.t().mm(gy_rows).t()}
            if fused:
                grads["bias"] = gy_rows.sum(0)
            elif bias:
                grads["bias"] = gy.sum_to_size(out_features)
            if not wrt_input:
                return grads, None
            if rows.stride() == (1, rows.shape[0]):
                gx = weight.t().mm(gy_rows.t()).t()
            else:
                gx = gy_rows.mm(weight)
            return grads, gx if rows is x else gx.reshape(x.shape)

        return y, pullback

    def apply(params: Params, x: Float[Tensor, "*N A"]) -> Float[Tensor, "*N B"]:
        return vjp(params, x)[0]

    return Layer(init, apply, vjp)
