"""The core's layers as modules."""

from __future__ import annotations

import torch
from torch import Tensor

import functional_dl as fdl

from .module import Module


class LayerModule(Module):
    """A layer with its parameters, their gradients and the pullback of the last forward."""

    def __init__(self, layer: fdl.Layer) -> None:
        self._vjp = layer.vjp
        self._params = layer.init()
        self._grads = {name: torch.zeros_like(p) for name, p in self._params.items()}
        self._pullback: fdl.Pullback | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output for x."""
        y, self._pullback = self._vjp(self._params, x)
        return y

    def backward(self, gy: Tensor) -> Tensor | None:
        """Adds to the gradients, and returns that of the last forward's x.

        Raises:
            RuntimeError: There was no forward.
        """
        if self._pullback is None:
            raise RuntimeError(f"{type(self).__name__}.backward: expected a forward before it")
        grads, gx = self._pullback(gy)
        for name, grad in self._grads.items():
            grad.add_(grads[name])
        return gx

    def parameters(self) -> list[Tensor]:
        """The layer's params, in their order."""
        return list(self._params.values())

    def grads(self) -> list[Tensor]:
        """Their accumulated gradients."""
        return list(self._grads.values())


class Linear(LayerModule):
    """Y = X Wᵀ + b, with the parameters [W, b] or [W]: `functional_dl.linear`."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(fdl.linear(in_features, out_features, bias))


class ReLU(LayerModule):
    """Y = max(X, 0): `functional_dl.relu`."""

    def __init__(self) -> None:
        super().__init__(fdl.relu())


class Tanh(LayerModule):
    """Y = tanh(X): `functional_dl.tanh`."""

    def __init__(self) -> None:
        super().__init__(fdl.tanh())
