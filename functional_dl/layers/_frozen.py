"""Layers that are used and not trained."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from functional_dl._errors import not_a, not_keyed
from functional_dl._guard import maths_of, rebuilt, with_vjp
from functional_dl.contract import (
    Call,
    Cotangents,
    Device,
    Dtype,
    Generator,
    Layer,
    Params,
    Pullback,
    call_of,
)
from functional_dl.layers._tied import Tied


def frozen(f: Layer, params: Params) -> Layer:
    """f with these params, which it isn't asked for any longer: a layer without params.

    No gradients of them are computed. Of a layer that is made of others, this holds for each of
    them; of one whose maths has no `through`, they are computed and dropped. `compat`, state dicts
    and optimizers don't see them.

    Args:
        f: A layer, such as a network that has been trained.
        params: Its params.

    Returns:
        The layer. It draws if f does.

    Raises:
        TypeError: f is no Layer, or params no dict.

    Example:
        >>> import torch
        >>> from functional_dl import linear, sequential
        >>> backbone = linear(2, 3)
        >>> model = sequential(frozen(backbone, backbone.init()), linear(3, 1))
        >>> [*model.init()["0"]], [*model.init()["1"]]
        ([], ['weight', 'bias'])
    """
    if not isinstance(f, Layer):
        raise not_a("frozen", "f", f, "a Layer")
    if not isinstance(params, dict):
        raise not_a("frozen", "params", params, "a dict")
    call = _Frozen(f, params)
    return Layer(call.init, call.apply, call.vjp)


class _Frozen(Call):
    def __init__(self, f: Layer, params: Params) -> None:
        super().__init__(frozen, (f, params), {})
        self.draws, self.f, self.params, self.constant = f.draws, f, params, _constant(f)

    def init(
        self, generator: Generator = None, *, dtype: Dtype = None, device: Device = None
    ) -> Params:
        return {}

    def apply(self, params: Params, x: Tensor) -> Tensor:
        self.check(params)
        return self.f.apply(self.params, x)

    def vjp(
        self, params: Params, x: Tensor, generator: Generator = None
    ) -> tuple[Tensor, Pullback]:
        self.check(params)
        given = (generator,) if self.draws else ()
        y, pullback_of_f = self.constant.vjp(self.params, x, *given)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Cotangents:
            return {}, pullback_of_f(gy)[1] if wrt_input else None

        return y, pullback

    def check(self, params: Any) -> None:
        if params != {}:
            raise not_keyed("frozen", "params", params, ())

    def __repr__(self) -> str:
        return f"frozen({self.f!r})"


def _constant(f: Layer) -> Layer:
    """f, whose pullback computes no gradients of params where that can be had."""
    call = call_of(f)
    if isinstance(call, Tied):
        vjp_of_whole = _constant(call.f).vjp
        return f._replace(vjp=lambda params, *x: vjp_of_whole(call.filled(params), *x))
    if f.layers:
        return rebuilt(f, lambda _, part: _constant(part))
    maths = maths_of(f)
    if not maths or not maths.through:
        return f
    through = maths.through

    def vjp(params: Params, x: Tensor) -> tuple[Tensor, Pullback]:
        y, back = through(params, x)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Cotangents:
            return {}, back(gy) if wrt_input else None

        return y, pullback

    return with_vjp(f, vjp)
