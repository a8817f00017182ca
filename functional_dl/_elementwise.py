"""Layers without params that work on each element."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_floating, not_like
from functional_dl.contract import Device, Dtype, Generator, Layer, Params, Pullback


def elementwise(
    where: str, unchecked: Callable[[Params, Tensor], tuple[Tensor, Pullback]]
) -> Layer:
    """The layer of this vjp; but x and cotangents that are bad it refuses, in the name of where.

    Between other layers, where neither can be, `sequential` calls `vjp.unchecked`.
    """

    def init(generator: Generator = None, *, dtype: Dtype = None, device: Device = None) -> Params:
        return {}

    def vjp(params: Params, x: Float[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Pullback]:
        if not x.is_floating_point():
            raise not_floating(where, "x", x)
        y, unchecked_pullback = unchecked(params, x)

        def pullback(
            gy: Float[Tensor, "*N"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*N"] | None]:
            if gy.shape != y.shape or gy.dtype != y.dtype:
                raise not_like(where, "the cotangent", gy, y.dtype, y.shape)
            return unchecked_pullback(gy, wrt_input=wrt_input)

        return y, pullback

    def apply(params: Params, x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        return vjp(params, x)[0]

    vjp.unchecked = unchecked
    return Layer(init, apply, vjp)
