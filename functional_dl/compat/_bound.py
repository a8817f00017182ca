"""A layer with its tensors: the way there, the way back, and what is added up on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any, TypeAlias

import torch
from torch import Tensor

import functional_dl as fdl
from functional_dl._errors import not_like
from functional_dl._guard import unguarded
from functional_dl.contract import call_of
from functional_dl.optimizers._leaves import check_grads


class Bound:
    """A layer, its params and their accumulated gradients.

    Attributes:
        is_ours: Whether the library has written the layer and all within.
        draws: Whether the layer takes a generator.
        sinks: The accumulated gradients, the last layer's first, each with its path in grads.
        repeats: Whether one of them comes several times.
    """

    def __init__(self, name: str, layer: fdl.Layer, params: fdl.Params, grads: fdl.Params) -> None:
        self.name, self.layer, self.params, self.grads = name, layer, params, grads
        self.is_ours, self.draws, self._maths = _is_ours(layer), layer.draws, unguarded(layer)
        self.sinks = [*_leaves(grads)][::-1]
        self.repeats = len({id(sink) for _, sink in self.sinks}) < len(self.sinks)

    def vjp(self, x: Tensor, path: str, *generator: torch.Generator) -> tuple[Tensor, WayBack]:
        """As fast as it goes; if anything is wrong, it raises, whatever that may be."""
        dtype = x.dtype
        y, pullback = self._maths(self.params, x, *generator)
        if not dtype.is_floating_point or y.dtype is not dtype:
            raise TypeError
        return y, self.way_back(x, y, pullback, path)

    def way_back(self, x: Tensor, y: Tensor, pullback: fdl.Pullback | None, path: str) -> WayBack:
        """That of the pullback, with checks of what it takes, and gives if it isn't ours."""
        dtype, shape = y.dtype, y.shape
        like = None if self.is_ours else (x.dtype, x.shape)

        def way_back(gy: Any, found: Found) -> Any:
            nonlocal pullback
            if not pullback:
                raise no_forward(at(path, f"{self.name}.backward"))
            if not isinstance(gy, Tensor) or gy.dtype is not dtype or gy.shape != shape:
                name = at(path, f"{self.name}.backward")
                raise not_like(name, "the cotangent", gy, dtype, shape)
            last, pullback = pullback, None
            grads, gx = last(gy)
            if like:
                name = at(path, f"{self.name}.backward")
                check_grads(name, self.grads, grads)
                same = isinstance(gx, Tensor) and (gx.dtype, gx.shape) == like
                if like[0].is_floating_point and not same:
                    raise not_like(name, "the gradient of x", gx, *like)
            elif gx is not None and gx.dtype is not dtype:  # torch.autocast has cast it
                name = at(path, f"{self.name}.backward")
                raise not_like(name, "the gradient of x", gx, dtype, gx.shape)
            found.append((self, grads))
            return gx

        return way_back


Found: TypeAlias = list[tuple[Bound, fdl.Params]]
"""Gradients, each with the layer to whose accumulated gradients they are to be added."""

WayBack: TypeAlias = Callable[[Any, Found], Any]
"""Takes the output's cotangent to the input's, once, and appends the gradients that it finds."""


def add_up(found: Found) -> None:
    """Adds what was found to the accumulated gradients.

    What was found in several places for one parameter is summed first, from the last place to the
    first: that is autograd's order, and the last bits depend on it.
    """
    once = len(found) == 1 and not found[0][0].repeats
    sums: dict[int, tuple[Tensor, Tensor]] = {}
    for bound, grads in found:
        for path, sink in bound.sinks:
            grad: Any = grads
            for k in path:
                grad = grad[k]
            if once:
                sink.add_(grad)
            else:
                known = sums.get(id(sink))
                sums[id(sink)] = sink, known[1] + grad if known else grad
    for sink, grad in sums.values():
        sink.add_(grad)


def _leaves(
    tree: fdl.Params, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    for k, part in tree.items():
        if isinstance(part, dict):
            yield from _leaves(part, (*path, k))
        else:
            yield (*path, k), part


def _is_ours(layer: fdl.Layer) -> bool:
    """Whether the library has written the layer and all within."""
    call = call_of(layer)
    if call is None or not call.constructor.__module__.startswith("functional_dl."):
        return False
    return all(map(_is_ours, call.layers.values()))


def vjp_named(name: str, f: fdl.Layer | fdl.Loss) -> Any:
    """The vjp of f; errors that the core makes for it are in this name."""
    call: Any = copy(call_of(f))
    if call is None:
        return f.vjp
    call.name = name
    return call.vjp


def made(module: object, constructor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The constructor's layer or loss; its errors speak of the module."""
    try:
        return constructor(*args, **kwargs)
    except (TypeError, ValueError) as error:
        name = type(module).__name__
        raise type(error)(str(error).replace(constructor.__name__, name, 1)) from None


def at(path: str, name: str) -> str:
    """The name, for errors, of what stands at path in a Sequential."""
    return f"{name} at {path}" if path else name


def no_forward(name: str) -> RuntimeError:
    """For a backward that has no forward to belong to."""
    return RuntimeError(f"{name}: expected a forward before it that no other backward has used up")


def refuse_inference_tensors(name: str, tensors: Iterable[Tensor]) -> None:
    """Raises that tensors which were made in inference mode can't be changed out of it."""
    if not torch.is_inference_mode_enabled() and any(map(Tensor.is_inference, tensors)):
        raise RuntimeError(
            f"{name}: expected to be called under torch.inference_mode, in which the tensors were "
            "made that it changes: outside of it they can't be changed"
        )
