"""Layers one after the other."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_keyed, not_like
from functional_dl.contract import Device, Dtype, Generator, Layer, Params, Pullback, Update


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
    empty: Params = dict.fromkeys(named)
    takes_update = {k: getattr(f.vjp, "takes_update", False) for k, f in named.items()}
    # What one layer hands to the next is as it must be; only at the ends may it be bad.
    ends = ("0", str(len(layers) - 1))
    vjps = {k: f.vjp if k in ends else getattr(f.vjp, "unchecked", f.vjp) for k, f in named.items()}

    def init(generator: Generator = None, *, dtype: Dtype = None, device: Device = None) -> Params:
        return {k: f.init(generator, dtype=dtype, device=device) for k, f in named.items()}

    def vjp(params: Params, x: Float[Tensor, "*A"]) -> tuple[Float[Tensor, "*B"], Pullback]:
        like = None if layers else (x.dtype, x.shape)
        y = x
        pullbacks: dict[str, Any] = {}
        try:
            olds = params.copy()
            if len(olds) != len(layers):
                raise ValueError
            for k, f in vjps.items():
                y, pullbacks[k] = f(olds[k], y)
        except Exception:
            check(params)
            raise

        def pullback(
            gy: Float[Tensor, "*B"], *, wrt_input: bool = True, update: Update | None = None
        ) -> tuple[Params, Float[Tensor, "*A"] | None]:
            if like and (gy.dtype, gy.shape) != like:
                raise not_like("sequential", "the cotangent", gy, *like)
            if len(pullbacks) != len(layers):
                raise RuntimeError("sequential: expected a pullback that has not updated before")
            grads = empty.copy()  # keeps the order of construction
            gx: Any = gy
            if update is None:
                for k, pull in reversed(pullbacks.items()):
                    grads[k], gx = pull(gx, wrt_input=wrt_input or k != "0")
            else:
                del gy
                while pullbacks:
                    k, pull = pullbacks.popitem()
                    old = olds.pop(k)
                    more: dict[str, Any] = {"wrt_input": wrt_input or k != "0"}
                    if takes_update[k]:
                        del old
                        grads[k], gx = pull(gx, update=update, **more)
                    else:
                        of_layer, gx = pull(gx, **more)
                        grads[k] = update(old, of_layer)
                        del of_layer
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

    vjp.takes_update, vjp.layers = True, named
    return Layer(init, apply, vjp)
