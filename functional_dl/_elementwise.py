"""Layers without params that work on each element, with a derivative that the output tells."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_floating, not_keyed, not_like
from functional_dl.contract import Device, Dtype, Generator, Layer, Params, Pullback


def elementwise(
    where: str, forward: Callable[[Tensor], Tensor], backward: Callable[[Tensor, Tensor], Tensor]
) -> Layer:
    """The layer y = forward(x) with gx = backward(gy, y); where is the name that errors give."""

    def init(generator: Generator = None, *, dtype: Dtype = None, device: Device = None) -> Params:
        return {}

    def vjp(params: Params, x: Float[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Pullback]:
        if params != {}:
            raise not_keyed(where, "params", params, ())
        if not x.is_floating_point():
            raise not_floating(where, "x", x)
        y = forward(x)

        def pullback(
            gy: Float[Tensor, "*N"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*N"] | None]:
            if gy.shape != y.shape or gy.dtype != y.dtype:
                raise not_like(where, "the cotangent", gy, y.dtype, y.shape)
            return {}, backward(gy, y) if wrt_input else None

        return y, pullback

    def apply(params: Params, x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        return vjp(params, x)[0]

    return Layer(init, apply, vjp)
