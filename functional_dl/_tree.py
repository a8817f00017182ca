"""Trees of tensors: a tensor, or a dict, list or tuple of trees."""

from collections.abc import Callable
from typing import Any

from torch import Tensor


def tree_map(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """f of the leaves of one tree, or of those of several alike.

    Args:
        f: Takes as many leaves as there are trees.
        tree: Dicts, lists, tuples and named tuples, one in the other, of leaves of any kind.
        *others: Trees with the same keys, in any order, and lengths.

    Returns:
        What f gives, in the structure of tree and in its order.

    Raises:
        ValueError: A dict, list or tuple has others in its place than of its own keys or length.

    Example:
        >>> tree_map(lambda p, g: p - g, {"w": 3, "b": [2, 1]}, {"b": [1, 1], "w": 1})
        {'w': 2, 'b': [1, 0]}
    """
    if isinstance(tree, dict):
        for other in others:
            if not isinstance(other, dict) or other.keys() != tree.keys():
                raise ValueError(f"tree_map: expected a dict with the keys {[*tree]}, got {other}")
        return {k: tree_map(f, v, *(other[k] for other in others)) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        for other in others:
            if not isinstance(other, (list, tuple)) or len(other) != len(tree):
                raise ValueError(f"tree_map: expected {len(tree)} trees, got {other}")
        parts = [tree_map(f, *each) for each in zip(tree, *others, strict=True)]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return f(tree, *others)


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, in order.

    Args:
        tree: As for `tree_map`.

    Returns:
        The leaves.

    Example:
        >>> tree_leaves({"w": 3, "b": [2, 1]})
        [3, 2, 1]
    """
    leaves: list[Any] = []
    tree_map(leaves.append, tree)
    return leaves


def at(tree: Any, path: str) -> Any:
    """What is in nested dicts at a path, such as "0.weight"."""
    for k in path.split("."):
        tree = tree[k]
    return tree


def put(tree: Any, path: str, leaf: Any) -> Any:
    """Nested dicts with another leaf at a path."""
    k, _, rest = path.partition(".")
    return {**tree, k: put(tree[k], rest, leaf) if rest else leaf}


def taken(tree: Any, path: str) -> tuple[Any, Any]:
    """The leaf at a path, and nested dicts without it."""
    k, _, rest = path.partition(".")
    if rest:
        leaf, part = taken(tree[k], rest)
        return leaf, {**tree, k: part}
    return tree[k], {other: p for other, p in tree.items() if other != k}


def tensors(name: str, tree: Any) -> list[Tensor]:
    """The leaves, all of which must be tensors; what isn't is refused in this name."""
    leaves = tree_leaves(tree)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"{name}: expected a tree of tensors, got {leaf!r} in it")
    return leaves


def tree_layout(tree: Any) -> Any:
    """The dtypes and shapes of the leaves."""
    return tree_map(lambda leaf: (leaf.dtype, tuple(leaf.shape)), tree)
