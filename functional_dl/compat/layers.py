"""The core's layers as modules."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import functional_dl as fdl
from functional_dl._errors import not_floating, not_like
from functional_dl._tree import tensors
from functional_dl.contract import call_of, name_of

from ._bound import Bound, WayBack, at, vjp_named
from ._bound import made as _made
from .module import Module


class LayerModule(Module):
    """Any layer, of `functional_dl` or of your own, with its parameters and their gradients.

    Args:
        layer: Its `init` draws the parameters.

    Raises:
        TypeError: It is no Layer, or its params hold what is no tensor.

    Example:
        >>> LayerModule(fdl.linear(2, 3))
        LayerModule(linear(2, 3))
    """

    def __init__(self, layer: fdl.Layer) -> None:
        if not isinstance(layer, fdl.Layer):
            raise TypeError(f"LayerModule: expected a Layer, got {layer!r}")
        self._layer, self._params = layer, layer.init()
        tensors(self._called(), self._params)
        self._grads: fdl.Params = fdl.tree_map(torch.zeros_like, self._params)

    def _called(self) -> str:
        return name_of(self._layer) if type(self) is LayerModule else super()._called()

    @cached_property
    def _bound(self) -> Bound:
        return Bound(self._called(), self._layer, self._params, self._grads)

    @cached_property
    def _is_ours(self) -> bool:
        return self._bound.is_ours

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output for x.

        Raises:
            ValueError: x is of a shape that the layer doesn't take.
            TypeError: x is not floating, or of another dtype than the parameters.
        """
        y, self._way_back = LayerModule._vjp(self, x)
        return y

    def backward(self, gy: Tensor) -> Tensor | None:
        """Adds to the gradients, and returns that of the last forward's x.

        Raises:
            RuntimeError: There was no forward, or a backward has used it up; or the module was made
                under torch.inference_mode, and this is outside of it.
            ValueError: gy has another shape than the output.
            TypeError: gy has another dtype than the output.
        """
        return self._go_back(gy)

    def _vjp(self, x: Any, path: str = "") -> tuple[Any, WayBack]:
        drawing = self.training and self._bound.draws
        generator = (torch.default_generator,) if drawing else ()
        try:
            return self._bound.vjp(x, path, *generator)
        except Exception:
            y, pullback = self._explained(x, at(path, self._called()), *generator)
            return y, self._bound.way_back(x, y, pullback, path)

    def _explained(
        self, x: Any, name: str, *generator: torch.Generator
    ) -> tuple[Tensor, fdl.Pullback]:
        """As the vjp of the layer, whose errors speak of the module."""
        if call_of(self._layer) and isinstance(x, Tensor) and x.is_floating_point():
            for p in fdl.tree_leaves(self._params):
                if p.dtype != x.dtype:
                    raise not_like(name, "x", x, p.dtype, x.shape)
        y, pullback = vjp_named(name, self._layer)(self._params, x, *generator)
        if not isinstance(y, Tensor):
            raise not_floating(name, "y", y)
        if x.is_floating_point() and y.dtype != x.dtype:
            raise not_like(name, "y", y, x.dtype, y.shape)
        return y, pullback

    def parameters(self) -> list[Tensor]:
        """The layer's params, in their order."""
        return fdl.tree_leaves(self._params)

    def grads(self) -> list[Tensor]:
        """Their accumulated gradients."""
        return fdl.tree_leaves(self._grads)

    def state_dict(self) -> dict[str, Tensor]:
        """The params, under their keys joined by dots, in the same memory."""
        return fdl.to_state_dict(self._params, self._layer)

    def __repr__(self) -> str:
        return f"LayerModule({self._layer})" if type(self) is LayerModule else super().__repr__()


class _Weighted(LayerModule):
    """A module with a weight and perhaps a bias."""

    @property
    def weight(self) -> Tensor:
        """W."""
        return self._params["weight"]

    @property
    def bias(self) -> Tensor | None:
        """b, if there is one."""
        return self._params.get("bias")


class Linear(_Weighted):
    """Y = X Wᵀ + b, with the parameters [W, b] or [W]: `functional_dl.linear`."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(_made(self, fdl.linear, in_features, out_features, bias))

    def __repr__(self) -> str:
        out_features, in_features = self.weight.shape
        bias = self.bias is not None
        return f"{type(self).__name__}({in_features=}, {out_features=}, {bias=})"


class Conv2d(_Weighted):
    """The convolution of images, with the parameters [W, b] or [W]: `functional_dl.conv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        args = in_channels, out_channels, kernel_size, padding, stride, bias
        super().__init__(_made(self, fdl.conv2d, *args))
        self.stride, self.padding = stride, padding

    def __repr__(self) -> str:
        out_channels, in_channels, *kernel_size = self.weight.shape
        stride, padding = (self.stride,) * 2, (self.padding,) * 2
        rest = f", {padding=}" * (self.padding > 0) + ", bias=False" * (self.bias is None)
        return (
            f"{type(self).__name__}({in_channels}, {out_channels}, "
            f"kernel_size={tuple(kernel_size)}, {stride=}{rest})"
        )


class Dropout(LayerModule):
    """Y = X ⊙ M in training: `functional_dl.dropout`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(_made(self, fdl.dropout, p))
        self.p = p

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, inplace=False)"


class Flatten(LayerModule):
    """Y = X, with the dimensions of each sample in one: `functional_dl.flatten`."""

    def __init__(self) -> None:
        super().__init__(fdl.flatten())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(start_dim=1, end_dim=-1)"


class GELU(LayerModule):
    """Y = X ⊙ Φ: `functional_dl.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(_made(self, fdl.gelu, approximate))
        self.approximate = approximate

    def __repr__(self) -> str:
        return f"{type(self).__name__}(approximate={self.approximate!r})"


class LeakyReLU(LayerModule):
    """Y = X where X is positive, else slope · X: `functional_dl.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__(_made(self, fdl.leaky_relu, negative_slope))
        self.negative_slope = negative_slope

    def __repr__(self) -> str:
        return f"{type(self).__name__}(negative_slope={self.negative_slope})"


class MaxPool2d(LayerModule):
    """The largest number of each window: `functional_dl.max_pool2d`."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__(_made(self, fdl.max_pool2d, kernel_size))
        self.kernel_size = self.stride = kernel_size

    def __repr__(self) -> str:
        sizes = f"kernel_size={self.kernel_size}, stride={self.stride}"
        return f"{type(self).__name__}({sizes}, padding=0, dilation=1, ceil_mode=False)"


class ReLU(LayerModule):
    """Y = max(X, 0): `functional_dl.relu`."""

    def __init__(self) -> None:
        super().__init__(fdl.relu())


class Sigmoid(LayerModule):
    """Y = 1 / (1 + exp(−X)): `functional_dl.sigmoid`."""

    def __init__(self) -> None:
        super().__init__(fdl.sigmoid())


class SiLU(LayerModule):
    """Y = X ⊙ 1 / (1 + exp(−X)): `functional_dl.silu`."""

    def __init__(self) -> None:
        super().__init__(fdl.silu())


class Tanh(LayerModule):
    """Y = tanh(X): `functional_dl.tanh`."""

    def __init__(self) -> None:
        super().__init__(fdl.tanh())
