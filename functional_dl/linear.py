"""The affine map."""

from __future__ import annotations

import math
from typing import Any

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
    leaves, weight_shape, bias_shape = len(shapes), shapes["weight"], (out_features,)
    by_rows = (in_features, 1)

    def init(generator: Generator = None, *, dtype: Dtype = None, device: Device = None) -> Params:
        # Both are 1/√A; the weight's is rounded as in PyTorch's Linear, which shows in float64.
        weight_bound = math.sqrt(3) * (math.sqrt(1 / 3) / math.sqrt(in_features))
        bounds = {"weight": weight_bound, "bias": 1 / math.sqrt(in_features)}
        params = {k: torch.empty(s, dtype=dtype, device=device) for k, s in shapes.items()}
        for k, p in params.items():
            p.uniform_(-bounds[k], bounds[k], generator=generator)
        return params

    def vjp(params: Params, x: Float[Tensor, "*N A"]) -> tuple[Float[Tensor, "*N B"], Pullback]:
        try:
            weight = params["weight"]
            b: Any = params["bias"] if bias else None
            if (  # what the product would let pass
                len(params) != leaves
                or weight.shape != weight_shape
                or (bias and b.shape != bias_shape)
                or not x.is_floating_point()
            ):
                raise ValueError
            if x.dim() != 2:
                return flattened(params, x)
            y = b.addmm(x, weight.mT) if bias else x.mm(weight.mT)
        except Exception:
            check(params, x)
            raise

        def pullback(
            gy: Float[Tensor, "N B"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "N A"] | None]:
            try:
                # A product's gradient is laid out as its factor is, by rows or by columns.
                if weight.stride() == by_rows:
                    grads = {"weight": gy.mT.mm(x)}
                else:
                    grads = {"weight": x.mT.mm(gy).mT}
                if bias:
                    grads["bias"] = gy.sum(0)
                if not wrt_input and gy.shape[1] == out_features:
                    return grads, None
                if x.stride()[0] == 1 and x.stride() == (1, x.shape[0]):
                    return grads, weight.mT.mm(gy.mT).mT
                return grads, gy.mm(weight)
            except Exception:
                check_cotangent(gy, x)
                raise

        return y, pullback

    def flattened(
        params: Params, x: Float[Tensor, "*N A"]
    ) -> tuple[Float[Tensor, "*N B"], Pullback]:
        check(params, x)
        # Where PyTorch adds b after the product, which rounds once more.
        apart = bias and not (x.is_contiguous() and params["bias"].is_contiguous())
        f = linear(in_features, out_features, bias=False).vjp if apart else vjp
        of_f = {"weight": params["weight"]} if apart else params
        rows, rows_pullback = f(of_f, x.reshape(-1, in_features))
        y = rows.reshape(*x.shape[:-1], out_features)
        if apart:
            y = y + params["bias"]

        def pullback(
            gy: Float[Tensor, "*N B"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*N A"] | None]:
            check_cotangent(gy, x)
            grads, gx = rows_pullback(gy.reshape(-1, out_features), wrt_input=wrt_input)
            if apart:
                grads["bias"] = gy.sum_to_size(out_features).clone()  # which may be gy itself
            return grads, gx if gx is None else gx.reshape(x.shape)

        return y, pullback

    def check(params: Params, x: Tensor) -> None:
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

    def check_cotangent(gy: Tensor, x: Tensor) -> None:
        shape = (*x.shape[:-1], out_features)
        if gy.shape != shape or gy.dtype != x.dtype:
            raise not_like("linear", "the cotangent", gy, x.dtype, shape)

    def apply(params: Params, x: Float[Tensor, "*N A"]) -> Float[Tensor, "*N B"]:
        return vjp(params, x)[0]

    return Layer(init, apply, vjp)
