"""Trees of tensors: a tensor, or a dict, list or tuple of trees."""

from collections.abc import Callable
from typing import Any

from torch import Tensor


def tree_map(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """f of the leaves of one tree, or of those of several alike."""
    if isinstance(tree, dict):
        return {k: tree_map(f, v, *(other[k] for other in others)) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        parts = [tree_map(f, v, *(other[i] for other in others)) for i, v in enumerate(tree)]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return f(tree, *others)


def tree_layout(tree: Any) -> Any:
    """The dtypes and shapes of the leaves."""
    return tree_map(lambda leaf: (leaf.dtype, tuple(leaf.shape)), tree)


def tree_leaves(where: str, tree: Any) -> list[Tensor]:
    """The leaves in order; in the name of where, what is no tensor is refused."""
    leaves: list[Any] = []
    tree_map(leaves.append, tree)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"{where}: expected a tree of tensors, got {leaf!r} in it")
    return leaves
