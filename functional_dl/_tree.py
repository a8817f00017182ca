"""Walks through params and grads together.

By hand, and not with a library for pytrees: flattening sorts the keys of every dict anew, which the
step of a small network feels, and the errors wouldn't name the function and the leaf.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from functional_dl._errors import not_floating, not_keyed, not_like


def map_leaves(
    where: str,
    f: Callable[[Tensor, Tensor], Any],
    params: dict[Any, Any],
    grads: dict[Any, Any],
    path: str = "",
) -> dict[Any, Any]:
    """f(p, g) for every leaf p of params and its gradient g, structured as params are.

    Raises:
        ValueError: The keys of grads or the shape of a gradient differ from those of params.
        TypeError: A leaf is no floating tensor, or its gradient's dtype differs.
    """
    if not isinstance(grads, dict) or grads.keys() != params.keys():
        raise not_keyed(where, f"grads{path}", grads, params)
    new: dict[Any, Any] = {}
    for k, p in params.items():
        g = grads[k]
        if isinstance(p, dict):
            new[k] = map_leaves(where, f, p, g, f"{path}[{k!r}]")
        elif not isinstance(p, Tensor) or not p.is_floating_point():
            raise not_floating(where, f"params{path}[{k!r}]", p)
        elif not isinstance(g, Tensor) or g.shape != p.shape or g.dtype != p.dtype:
            raise not_like(where, f"grads{path}[{k!r}]", g, p.dtype, p.shape)
        else:
            new[k] = f(p, g)
    return new
