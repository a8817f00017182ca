"""Layers one after the other."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_keyed, not_like
from functional_dl.contract import Device, Dtype, Generator, Layer, Params, Pullback


def sequential(*layers: Layer) -> Layer:
    """Y = fₙ(… f₂(f₁(X))).

    Backward, for a cotangent ∇Y, is the chain rule: from the last layer to the first, each one's
    pullback takes the cotangent of its output to that of its input.

    Args:
        *layers: f₁ to fₙ, sequentials among them; with none, Y is X.

    Returns:
        A layer whose params are those of its layers under the keys "0", "1", …; joined by dots,
        the keys are those of the state_dict of PyTorch's Sequential.

    Raises:
        TypeError: One of layers is no Layer.
        ValueError: The layer raises it for params with other keys, besides what its layers raise.
    """
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"sequential: expected layer {i} to be a Layer, got {layer!r}")
    named = {str(i): layer for i, layer in enumerate(layers)}

    def init(generator: Generator = None, *, dtype: Dtype = None, device: Device = None) -> Params:
        return {k: f.init(generator, dtype=dtype, device=device) for k, f in named.items()}

    def vjp(params: Params, x: Float[Tensor, "*A"]) -> tuple[Float[Tensor, "*B"], Pullback]:
        check(params)
        y = x
        pullbacks: dict[str, Pullback] = {}
        for k, f in named.items():
            y, pullbacks[k] = f.vjp(params[k], y)

        def pullback(
            gy: Float[Tensor, "*B"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*A"] | None]:
            if not pullbacks and (gy.shape != y.shape or gy.dtype != y.dtype):
                raise not_like("sequential", "the cotangent", gy, y.dtype, y.shape)
            grads: Params = dict.fromkeys(named)  # keeps the order of construction
            gx: Any = gy
            for k, pull in reversed(pullbacks.items()):
                grads[k], gx = pull(gx, wrt_input=wrt_input or k != "0")
            return grads, gx if wrt_input else None

        return y, pullback

    def apply(params: Params, x: Float[Tensor, "*A"]) -> Float[Tensor, "*B"]:
        check(params)
        for k, f in named.items():
            x = f.apply(params[k], x)
        return x

    def check(params: Params) -> None:
        if not isinstance(params, dict) or params.keys() != named.keys():
            raise not_keyed("sequential", "params", params, named)

    return Layer(init, apply, vjp)
