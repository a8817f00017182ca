"""One leaf in several places of a network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from functional_dl._errors import not_a
from functional_dl._guard import unallocated
from functional_dl._tree import at, put, taken, tree_layout, tree_leaves
from functional_dl.contract import (
    Call,
    Cotangents,
    Device,
    Dtype,
    Generator,
    Layer,
    Params,
    Pullback,
    call_of,
)


def tied(f: Layer, leaves: Mapping[str, str]) -> Layer:
    """f, where one leaf of params stands in several places.

    Backward, the gradients of all its places add up.

    Args:
        f: A layer that is made of others.
        leaves: The path of each leaf that is no longer there, and that of the leaf that stands for
            it, which comes before it: {"5.weight": "0.weight"}, as in a state dict.

    Returns:
        The layer. Its params, and what an optimizer remembers of them, have one leaf.
        `to_state_dict(params, model)` has it under all its names, as PyTorch's modules do, and
        `from_state_dict(model, ...)` takes that.

    Raises:
        ValueError: f has no such leaf, or two that are to be one differ in shape or stand in
            another order. The layer raises it for params that don't have one leaf for both, besides
            what f raises.
        TypeError: f is no Layer, or leaves no dict.

    Source:
        Press and Wolf, "Using the output embedding to improve language models", EACL 2017.

    Example:
        >>> from functional_dl import embedding, linear, sequential
        >>> model = tied(sequential(embedding(7, 2), linear(2, 7)), {"1.weight": "0.weight"})
        >>> {k: [*p] for k, p in model.init().items()}
        {'0': ['weight'], '1': ['bias']}
    """
    if not isinstance(f, Layer):
        raise not_a("tied", "f", f, "a Layer")
    if not isinstance(leaves, Mapping):
        raise not_a("tied", "leaves", leaves, "a dict of paths")
    call = Tied(f, dict(leaves))
    return Layer(call.init, call.apply, call.vjp)


class Tied(Call):
    """The call of `tied`, with f and the leaves."""

    def __init__(self, f: Layer, leaves: dict[str, str]) -> None:
        super().__init__(tied, (f, leaves), {})
        self.f, self.leaves, self.layers, self.draws = f, leaves, f.layers, f.draws
        params = unallocated(f)
        order = [id(p) for p in tree_leaves(params)]
        for path, of in leaves.items():
            try:
                p, first = at(params, path), at(params, of)
                in_order = order.index(id(first)) < order.index(id(p))
                one = place_of(f, path)[0] == place_of(f, of)[0]
            except (KeyError, TypeError, IndexError, ValueError):
                raise ValueError(f"tied: expected leaves of f, got {path!r}: {of!r}") from None
            if one:
                raise ValueError(f"tied: expected leaves of two layers, got {path!r}: {of!r}")
            if p.shape != first.shape or not in_order:
                what = f"{of!r} to come before {path!r} and to be of its shape, {tuple(p.shape)}"
                raise ValueError(f"tied: expected {what}, got {tuple(first.shape)}")

    def init(
        self, generator: Generator = None, *, dtype: Dtype = None, device: Device = None
    ) -> Params:
        """That of f, without the leaves."""
        params = self.f.init(generator, dtype=dtype, device=device)
        for path in self.leaves:
            _, params = taken(params, path)
        return params

    def apply(self, params: Params, x: Tensor) -> Tensor:
        """That of f."""
        return self.f.apply(self.filled(params), x)

    def vjp(
        self, params: Params, x: Tensor, generator: Generator = None
    ) -> tuple[Tensor, Pullback]:
        """That of f, whose gradients add up."""
        given = (generator,) if self.draws else ()
        y, pullback_of_f = self.f.vjp(self.filled(params), x, *given)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Cotangents:
            grads, gx = pullback_of_f(gy, wrt_input=wrt_input)
            for path, of in self.leaves.items():
                g, grads = taken(grads, path)
                grads = put(grads, of, at(grads, of) + g)
            return grads, gx

        return y, pullback

    def filled(self, params: Params) -> Params:
        """The params of f."""
        for path, of in self.leaves.items():
            within, _, leaf = path.rpartition(".")
            try:
                if leaf in (at(params, within) if within else params):
                    raise KeyError
                params = put(params, path, at(params, of))
            except (KeyError, TypeError):
                what = f"params with {of!r} and without {path!r}, for which it stands"
                raise ValueError(f"tied: expected {what}, got {tree_layout(params)}") from None
        return params

    def __repr__(self) -> str:
        return f"tied({self.f!r}, {self.leaves!r})"


def place_of(f: Layer, path: str) -> tuple[str, str]:
    """The path of the layer within f that has this leaf, and the leaf's in the params of that."""
    keys, n = path.split("."), 0
    while f.layers:
        f, n = f.layers[keys[n]], n + 1
    return ".".join(keys[:n]), ".".join(keys[n:])


def ties_of(f: Layer, prefix: str = "") -> dict[str, str]:
    """The paths of all leaves that params lack, each with that of the leaf that stands for it."""
    call = call_of(f)
    if isinstance(call, Tied):
        ties = {prefix + path: prefix + of for path, of in call.leaves.items()}
        return ties | ties_of(call.f, prefix)
    found: dict[str, str] = {}
    for k, g in f.layers.items():
        found |= ties_of(g, f"{prefix}{k}.")
    return found
