"""Layers that are made of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from functional_dl._errors import not_a, not_like
from functional_dl._guard import Maths, layer, maths_of, proven, unguarded
from functional_dl.contract import Cotangents, Generator, Layer, Params, Pullback, Vjp

Link: TypeAlias = tuple[str, Vjp, bool]
"""The key of a layer, its vjp, and whether that takes a generator."""


@layer
def sequential(*layers: Layer) -> Maths:
    """Y = fₙ(… f₂(f₁(X))).

    Backward, for a cotangent ∇Y, is the chain rule: from the last layer to the first, each one's
    pullback takes the cotangent of its output to that of its input.

    Bits: PyTorch's own, value and gradient.

    Args:
        *layers: f₁ to fₙ, sequentials among them; with none, Y is X.

    Returns:
        A layer whose params are those of its layers under the keys "0", "1", …; joined by dots,
        the keys are those of the state_dict of PyTorch's Sequential.

    Raises:
        ValueError: The layer raises it for params with other keys, and for a layer that gives its
            input a cotangent of another shape, besides what its layers raise.
        TypeError: One of layers is no Layer. The layer raises it for a layer that gives another
            dtype than it gets, besides what its layers raise.
    """
    named = _named("sequential", layers)
    chain = [(k, _watched("sequential", k, f), f.draws) for k, f in named.items()]
    compiled_chain = _recomputing(chain, [maths_of(f) for f in layers])

    def vjp(
        params: Params, x: Shaped[Tensor, "*A"], generator: Generator = None
    ) -> tuple[Float[Tensor, "*B"], Pullback]:
        dtype = x.dtype
        links: list[tuple[str, Pullback, bool | None]] = []
        some: bool | None = False  # whether a layer before has params; None if x has no cotangent
        for k, f, draws in compiled_chain if is_dynamo_compiling() else chain:
            p = params[k]
            x, pullback_of_f = f(p, x, generator) if draws else f(p, x)
            if x.dtype is not dtype:
                if dtype.is_floating_point:
                    raise not_like("sequential", f"y of layer {k}", x, dtype, x.shape)
                dtype, some = x.dtype, None  # integers, which have no cotangent
            links.append((k, pullback_of_f, some))
            if p:
                some = True

        def pullback(gy: Float[Tensor, "*B"], *, wrt_input: bool = True) -> Cotangents:
            grads: Params = {k: {} for k in named}  # keeps the order of construction
            gx: Any = gy
            del gy  # gx alone holds a cotangent, and only until the next one is there
            for k, pullback_of_f, some in reversed(links):
                wrt_x = some or (wrt_input and some is not None)
                grads[k], gx = pullback_of_f(gx, wrt_input=wrt_x)
                if not wrt_x:  # no layer before has params
                    return grads, None
                if gx.dtype is not dtype:
                    raise _unlike("sequential", k, gx, dtype, gx.shape)
            return grads, gx if wrt_input else None

        return x, pullback

    def apply(params: Params, x: Shaped[Tensor, "*A"]) -> Float[Tensor, "*B"]:
        for k, f in named.items():
            x = f.apply(params[k], x)
        return x

    return Maths(vjp, layers=named, apply=apply)


@layer
def residual(*layers: Layer) -> Maths:
    """Y = X + fₙ(… f₂(f₁(X))).

    Backward, for a cotangent ∇Y, with the chain rule through the layers as in `sequential`:

        ∇X = ∇Y + (f₁ to fₙ)'s

    Bits: those of autograd of the same operations, value and gradient.

    Args:
        *layers: f₁ to fₙ.

    Returns:
        A layer from (...) to (...), whose params are those of `sequential(*layers)`.

    Raises:
        ValueError: The layer raises it for an output of its layers of another shape than X's, also
            where they would broadcast, besides what `sequential` raises.
        TypeError: As for `sequential`.

    Source:
        He et al., "Deep residual learning for image recognition", CVPR 2016.
    """
    named = _named("residual", layers)
    chain = maths_of(sequential(*layers))
    assert chain
    assert chain.apply
    vjp_of_chain, apply_chain = chain.vjp, chain.apply

    def added(x: Tensor, y: Tensor) -> Tensor:
        if y.shape != x.shape:
            raise not_like("residual", "y of its layers", y, x.dtype, x.shape)
        return x + y

    def vjp(
        params: Params, x: Float[Tensor, "*N"], generator: Generator = None
    ) -> tuple[Float[Tensor, "*N"], Pullback]:
        y, pullback_of_chain = vjp_of_chain(params, x, generator)

        def pullback(gy: Float[Tensor, "*N"], *, wrt_input: bool = True) -> Cotangents:
            grads, gx = pullback_of_chain(gy, wrt_input=wrt_input)
            return grads, None if gx is None else gy + gx

        return added(x, y), pullback

    def apply(params: Params, x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        return added(x, apply_chain(params, x))

    return Maths(vjp, layers=named, apply=apply)


@layer
def parallel(*layers: Layer) -> Maths:
    """Y = f₁(X) + … + fₙ(X).

    Backward, for a cotangent ∇Y, which each layer's pullback is given:

        ∇X = (fₙ's + …) + f₁'s

    in this order, which is autograd's where X is used once in each.

    Bits: those of autograd of the same operations, value and gradient.

    Args:
        *layers: f₁ to fₙ, at least one; `sequential()` passes X on as it is.

    Returns:
        A layer whose params are those of its layers under the keys "0", "1", ….

    Raises:
        ValueError: There is no layer. The layer raises it for outputs that differ in shape, also
            where they would broadcast, besides what its layers raise.
        TypeError: One of layers is no Layer. The layer raises it for outputs that differ in dtype.
    """
    if not layers:
        raise ValueError("parallel: expected at least one layer, got none")
    named = _named("parallel", layers)
    branches = [(k, _watched("parallel", k, f), f.draws) for k, f in named.items()]

    def summed(ys: dict[str, Tensor]) -> Tensor:
        first, *others = ys
        y = ys[first]
        for k in others:
            if ys[k].shape != y.shape or ys[k].dtype is not y.dtype:
                raise not_like("parallel", f"y of layer {k}", ys[k], y.dtype, y.shape)
            y = y + ys[k]
        return y

    def vjp(
        params: Params, x: Shaped[Tensor, "*A"], generator: Generator = None
    ) -> tuple[Float[Tensor, "*B"], Pullback]:
        ys: dict[str, Tensor] = {}
        pullbacks: dict[str, Pullback] = {}
        for k, f, draws in branches:
            p = params[k]
            ys[k], pullbacks[k] = f(p, x, generator) if draws else f(p, x)

        def pullback(gy: Float[Tensor, "*B"], *, wrt_input: bool = True) -> Cotangents:
            grads: Params = {k: {} for k in named}
            gx: Any = None
            part: Any
            wrt_input = wrt_input and x.is_floating_point()
            for k, pullback_of_f in reversed(pullbacks.items()):
                grads[k], part = pullback_of_f(gy, wrt_input=wrt_input)
                if wrt_input:
                    if part.dtype is not x.dtype:
                        raise _unlike("parallel", k, part, x.dtype, part.shape)
                    gx = part if gx is None else gx + part
            return grads, gx

        return summed(ys), pullback

    def apply(params: Params, x: Shaped[Tensor, "*A"]) -> Float[Tensor, "*B"]:
        return summed({k: f.apply(params[k], x) for k, f in named.items()})

    return Maths(vjp, layers=named, apply=apply)


def _unlike(name: str, k: str, gx: Any, dtype: torch.dtype, shape: Sequence[int]) -> Exception:
    """What says that the cotangent from layer k is not of this dtype and shape."""
    return not_like(name, f"the cotangent from layer {k}", gx, dtype, shape)


def _watched(name: str, k: str, f: Layer) -> Vjp:
    """The vjp of layer k, without its checks; of somebody's own, with one of its cotangent's shape.

    The dtype is to be checked of all: within torch.autocast, those of this package change it too.
    """
    vjp_of_f = unguarded(f)
    if proven(f):
        return vjp_of_f

    def vjp(params: Any, x: Tensor, *generator: Generator) -> tuple[Tensor, Pullback]:
        y, pullback_of_f = vjp_of_f(params, x, *generator)
        dtype, shape = x.dtype, x.shape

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[Any, Tensor | None]:
            grads, gx = pullback_of_f(gy, wrt_input=wrt_input)
            if wrt_input and (gx is None or gx.shape != shape):
                raise _unlike(name, k, gx, dtype, shape)
            return grads, gx

        return y, pullback

    return vjp


def _recomputing(chain: list[Link], maths: list[Maths | None]) -> list[Link]:
    """The chain for compiled code, which computes the y of some layers again on the way back."""
    links: list[Link] = []
    first: Vjp | None = None  # of the layer before, if its y is to be computed again
    for link, m in zip(chain, maths, strict=True):
        k, f, _ = link
        if first and m and m.through:
            links[-1] = k, _recomputed(first, f), False
        else:
            links.append(link)
        first = f if m and m.recomputed else None
    return links


def _recomputed(first: Vjp, second: Vjp) -> Vjp:
    """The vjp of two layers, the first without params, which keeps x and nothing between them.

    On the way back, both run once more. Of that, the compiler leaves out the second's y, which
    nobody needs, and computes the rest in one pass with the first's pullback.
    """

    def vjp(params: Params, x: Tensor) -> tuple[Tensor, Pullback]:
        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Cotangents:
            y, pullback_of_first = first({}, x)
            grads, gx = second(params, y)[1](gy, wrt_input=wrt_input)
            return grads, None if gx is None else pullback_of_first(gx)[1]

        return second(params, first({}, x)[0])[0], pullback

    return vjp


def _named(name: str, layers: tuple[Layer, ...]) -> dict[str, Layer]:
    for i, f in enumerate(layers):
        if not isinstance(f, Layer):
            raise not_a(name, f"layer {i}", f, "a Layer")
    return {str(i): f for i, f in enumerate(layers)}
