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
        # Whether the way back is all our own: somebody else's may want autograd.
        self._plain = bool(modules) and all(
            type(m).backward is LayerModule.backward or (type(m) is Sequential and m._plain)
            for m in modules
        )

    def forward(self, x: Any) -> Any:
        """Through the modules in order."""
        for module in self._modules:
            x = module(x)
        return x

    def backward(self, gy: Any) -> Any:
        """Through the modules in reverse; returns the gradient of the first one's input."""
        if self._plain and not torch.is_inference_mode_enabled():
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
