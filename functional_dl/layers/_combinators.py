"""Layers that are made of layers."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_a, not_like
from functional_dl._guard import Maths, layer, unguarded
from functional_dl.contract import Cotangents, Layer, Params, Pullback


@layer
def sequential(*layers: Layer) -> Maths:
    """Y = fₙ(… f₂(f₁(X))).

    Backward, for a cotangent ∇Y, is the chain rule: from the last layer to the first, each one's
    pullback takes the cotangent of its output to that of its input.

    Args:
        *layers: f₁ to fₙ, sequentials among them; with none, Y is X.

    Returns:
        A layer whose params are those of its layers under the keys "0", "1", …; joined by dots,
        the keys are those of the state_dict of PyTorch's Sequential.

    Raises:
        ValueError: The layer raises it for params with other keys, and for a layer that gives its
            input a cotangent of another shape, besides what its layers raise.
        TypeError: One of layers is no Layer. The layer raises it for a layer that gives another
            dtype than it gets, besides what its layers raise.
    """
    for i, f in enumerate(layers):
        if not isinstance(f, Layer):
            raise not_a("sequential", f"layer {i}", f, "a Layer")
    named = {str(i): f for i, f in enumerate(layers)}
    chain = {k: unguarded(f) for k, f in named.items()}

    def vjp(params: Params, x: Float[Tensor, "*A"]) -> tuple[Float[Tensor, "*B"], Pullback]:
        dtype = x.dtype
        links: list[tuple[str, Pullback, Any]] = []
        for k, f in chain.items():
            shape = x.shape
            x, pullback_of_f = f(params[k], x)
            if x.dtype is not dtype:
                raise not_like("sequential", f"y of layer {k}", x, dtype, x.shape)
            links.append((k, pullback_of_f, shape))

        def pullback(gy: Float[Tensor, "*B"], *, wrt_input: bool = True) -> Cotangents:
            grads: Params = dict.fromkeys(named)  # keeps the order of construction
            gx: Any = gy
            del gy  # gx alone holds a cotangent, and only until the next one is there
            for k, pullback_of_f, shape in reversed(links):
                wrt_x = wrt_input or k != "0"
                grads[k], gx = pullback_of_f(gx, wrt_input=wrt_x)
                if wrt_x and (gx is None or gx.shape != shape):
                    from_layer = f"the cotangent from layer {k}"
                    raise not_like("sequential", from_layer, gx, dtype, shape)
            return grads, gx if wrt_input else None

        return x, pullback

    def apply(params: Params, x: Float[Tensor, "*A"]) -> Float[Tensor, "*B"]:
        for k, f in named.items():
            x = f.apply(params[k], x)
        return x

    return Maths(vjp, layers=named, apply=apply)
