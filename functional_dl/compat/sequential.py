"""Modules one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, overload

import torch
from torch import Tensor

import functional_dl as fdl

from ._bound import Bound, Found, WayBack, at, no_forward
from .module import Module


class Sequential(Module):
    """Y = fₙ(… f₂(f₁(X))), for any modules, sequentials among them; with none, Y is X.

    A module may stand in several places. Its parameters are then listed once, and their gradients
    are summed over its places, bit for bit as PyTorch sums them.

    `len`, iteration and indices are those of the modules; a slice is a Sequential of them.

    Raises:
        TypeError: One of modules is no Module.
        ValueError: A module with a forward or backward of its own, which keeps itself what its way
            back needs, stands in two places.
    """

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: expected module {i} to be a Module, got {module!r}")
        self._modules = {str(i): module for i, module in enumerate(modules)}
        places: dict[int, str] = {}
        for place, module in self._places():
            first = places.setdefault(id(module), place)
            if first != place and module._has_own_way:
                raise ValueError(
                    "Sequential: expected a module with a forward or backward of its own to stand "
                    f"in one place, got {module!r} at {first} and {place}"
                )

    @cached_property
    def _bound(self) -> Bound | None:
        """All as one layer, if that is all the library's: somebody else's may want autograd.

        But not if some draw, since each can be in another mode.
        """
        bounds: dict[str, Bound] = {}
        for k, module in self._modules.items():
            bound = module._bound
            if not self._is_ours or not bound or bound.draws:
                return None
            bounds[k] = bound
        return Bound(
            self._called(),
            fdl.sequential(*(b.layer for b in bounds.values())),
            {k: b.params for k, b in bounds.items()},
            {k: b.grads for k, b in bounds.items()},
        )

    @cached_property
    def _is_ours(self) -> bool:
        return all(not m._has_own_way and m._is_ours for m in self._modules.values())

    def forward(self, x: Any) -> Any:
        """Through the modules in order."""
        y, self._way_back = Sequential._vjp(self, x)
        return y

    def backward(self, gy: Any) -> Any:
        """Through the modules in reverse; returns the gradient of the first one's input.

        Gradients change at the end, all of them: an error on the way leaves them as they were, but
        for those of modules with a backward of their own.

        Raises:
            RuntimeError: There was no forward, or a backward has used it up.
            ValueError: A cotangent has another shape than the output it belongs to.
            TypeError: It has another dtype.
        """
        if not self._is_ours or torch.is_inference_mode_enabled():
            return self._go_back(gy)
        with torch.inference_mode():  # a tenth of a step faster
            gx = self._go_back(gy)
        return gx if gx is gy or gx is None else gx.clone()  # what comes out is an ordinary tensor

    def _vjp(self, x: Any, path: str = "") -> tuple[Any, WayBack]:
        if self._bound:
            try:
                return self._bound.vjp(x, path)
            except Exception:  # told below, by the module at fault
                pass
        left: list[WayBack] = []
        for k, module in self._modules.items():
            x, way_back_of_module = module._vjp(x, f"{path}.{k}" if path else k)
            left.append(way_back_of_module)
        n, name = len(left), self._called()

        def way_back(gy: Any, found: Found) -> Any:
            if len(left) < n:
                raise no_forward(at(path, f"{name}.backward"))
            while left:
                gy = left[-1](gy, found)
                left.pop()
            return gy

        return x, way_back

    def parameters(self) -> list[Tensor]:
        """Those of the modules, in order, each once."""
        return _once(p for module in self._modules.values() for p in module.parameters())

    def grads(self) -> list[Tensor]:
        """Those of the modules, in order, each once."""
        return _once(g for module in self._modules.values() for g in module.grads())

    def _children(self) -> dict[str, Module]:
        return self._modules | super()._children()

    def _places(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        for k, module in self._modules.items():
            yield prefix + k, module
            if isinstance(module, Sequential):
                yield from module._places(f"{prefix}{k}.")

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    @overload
    def __getitem__(self, i: int) -> Module: ...

    @overload
    def __getitem__(self, i: slice) -> Sequential: ...

    def __getitem__(self, i: int | slice) -> Module:
        chosen = [*self._modules.values()][i]
        return chosen if isinstance(chosen, Module) else Sequential(*chosen)


def _once(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [*{id(t): t for t in tensors}.values()]
