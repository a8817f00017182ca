"""The core's layers as modules."""

from __future__ import annotations

import torch
from torch import Tensor

import functional_dl as fdl
from functional_dl._errors import not_like
from functional_dl._guard import unguarded

from .module import Module


class LayerModule(Module):
    """A layer with its parameters, their gradients and what the last forward has kept."""

    def __init__(self, layer: fdl.Layer) -> None:
        self._layer = layer
        self._maths = unguarded(layer)
        self._params = layer.init()
        self._grads = {name: torch.zeros_like(p) for name, p in self._params.items()}
        self._kept: tuple[fdl.Pullback, torch.dtype, torch.Size] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether no subclass has a way there or back of its own."""
        own = type(self)
        return own.forward is LayerModule.forward and own.backward is LayerModule.backward

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output for x."""
        y, pullback = self._layer.vjp(self._params, x)
        self._kept = pullback, y.dtype, y.shape
        return y

    def forward_unchecked(self, x: Tensor) -> Tensor:
        """As forward, for an x that needs no check."""
        y, pullback = self._maths(self._params, x)
        self._kept = pullback, y.dtype, y.shape
        return y

    def backward(self, gy: Tensor) -> Tensor | None:
        """Adds to the gradients, and returns that of the last forward's x.

        Raises:
            RuntimeError: There was no forward.
            ValueError: gy has another shape than the output.
            TypeError: gy has another dtype than the output, or gets one in `torch.autocast`.
        """
        name = type(self).__name__
        if self._kept is None:
            raise RuntimeError(f"{name}.backward: expected a forward before it")
        pullback, dtype, shape = self._kept
        if gy.dtype is not dtype or gy.shape != shape:
            raise not_like(f"{name}.backward", "the cotangent", gy, dtype, shape)
        grads, gx = pullback(gy)
        if gx is not None and gx.dtype is not dtype:
            raise not_like(f"{name}.backward", "the input's gradient", gx, dtype, gx.shape)
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


class Sigmoid(LayerModule):
    """Y = 1 / (1 + exp(−X)): `functional_dl.sigmoid`."""

    def __init__(self) -> None:
        super().__init__(fdl.sigmoid())


class Tanh(LayerModule):
    """Y = tanh(X): `functional_dl.tanh`."""

    def __init__(self) -> None:
        super().__init__(fdl.tanh())
