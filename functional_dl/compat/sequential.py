"""Modules one after the other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .layers import LayerModule
from .module import Module


class Sequential(Module):
    """Y = fₙ(… f₂(f₁(X))), for any modules, sequentials among them; with none, Y is X.

    Raises:
        TypeError: One of modules is no Module.
    """

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: expected module {i} to be a Module, got {module!r}")
        self._modules = modules
        # The modules, if all are our own: somebody else's way back may want autograd.
        self._own = [m for m in modules if isinstance(m, (LayerModule, Sequential)) and m.is_plain]
        if len(self._own) < len(modules):
            self._own = []

    @property
    def is_plain(self) -> bool:
        """Whether it goes there and back through modules of our own alone, and as they do."""
        return type(self) is Sequential and bool(self._own)

    def forward(self, x: Any) -> Any:
        """Through the modules in order."""
        if self.is_plain:
            try:
                if x.is_floating_point() and (y := self.forward_unchecked(x)).dtype is x.dtype:
                    return y
            except Exception:  # told below, by the module at fault
                pass
        for module in self._modules:
            x = module(x)
        return x

    def forward_unchecked(self, x: Tensor) -> Tensor:
        """As forward, for modules that are all our own and an x that needs no check."""
        for module in self._own:
            x = module.forward_unchecked(x)
        return x

    def backward(self, gy: Any) -> Any:
        """Through the modules in reverse; returns the gradient of the first one's input."""
        if self.is_plain and not torch.is_inference_mode_enabled():
            with torch.inference_mode():  # a tenth of a step faster
                gy = self.backward(gy)
            return gy.clone()  # what comes out is an ordinary tensor
        for module in reversed(self._modules):
            gy = module.backward(gy)
        return gy

    def parameters(self) -> list[Tensor]:
        """Those of the modules, in order."""
        return [p for module in self._modules for p in module.parameters()]

    def grads(self) -> list[Tensor]:
        """Those of the modules, in order."""
        return [g for module in self._modules for g in module.grads()]
