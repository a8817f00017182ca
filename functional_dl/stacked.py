"""Trees of tensors stacked along a first axis: batches one after the other, networks side by side.

A tree is a tensor, or a dict, list or tuple of trees.

Many networks train as one with `torch.vmap`, which goes over that axis of all of them, each with
its own learning rate if it is to:

    params = stack([model.init() for _ in range(64)])
    step = torch.vmap(one_step, in_dims=(0, 0, None))    # of one's params, one's lr and a batch
    new_params, losses = step(params, torch.linspace(0.01, 0.1, 64), batch)

And a whole epoch, or all of them, is one call that `torch.compile` makes fast:

    epoch = torch.compile(
        lambda params, batches: scan(step, params, batches),
        fullgraph=True,
        options={"cpp_wrapper": True},
    )
    with torch.inference_mode():
        params, losses = epoch(params, (inputs, targets))   # (batches, N, A) and (batches, N, B)

For networks with tanh, the option "cpp.use_decompose_tanh": True makes it faster still.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from functional_dl._tree import tensors, tree_layout, tree_map


def stack(trees: Iterable[Any]) -> Any:
    """One tree from several alike: each leaf is theirs, stacked along a new first axis.

    Args:
        trees: At least one tree, also from a generator; all have the same structure, shapes and
            dtypes.

    Returns:
        A tree of that structure, with leaves of shape (n, ...), from n trees.

    Raises:
        ValueError: There is none, or they differ.
    """
    members = [*trees]
    if not members:
        raise ValueError("stack: expected at least one tree, got none")
    return _stack("stack", members)


def unstack(tree: Any) -> list[Any]:
    """The inverse of `stack`: a tree for each index of the first axis.

    Args:
        tree: A tree whose leaves all have the same first axis.

    Returns:
        The trees, in the memory of the leaves: one that is kept keeps all of them alive, unless it
        is copied, as by `tree_map(torch.clone, one)`.

    Raises:
        ValueError: The leaves differ in the size of their first axis, or have none.
    """
    n = _length("unstack", tree)
    return [tree_map(lambda leaf, i=i: leaf[i], tree) for i in range(n)]


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, length: int | None = None
) -> tuple[Any, Any]:
    """carry, y = step(carry, x) for each x that is stacked in xs.

    As `jax.lax.scan`. Where it is compiled, it becomes a loop (`torch.while_loop`), so that the
    time to compile doesn't depend on how many there are; there, a step must return a carry of the
    same structure, shapes and dtypes.

    Args:
        step: A pure function. If its y is None, so are the ys.
        carry: A tree, such as params. A number in it, such as a count, is a 0-d tensor for step.
        xs: A tree whose leaves all have the same first axis, such as the batches of an epoch; or
            None, which each x is then, too.
        length: How many steps there are, if xs don't tell.

    Returns:
        The last carry, and the ys as one tree, stacked.

    Raises:
        ValueError: The leaves of xs differ in the size of their first axis; there is no step to do;
            length is another than that of xs; or the ys differ in structure, shapes or dtypes.
        TypeError: There are neither xs nor a length; or a y holds something else than tensors, or
            so does the carry where it is compiled.
    """
    if xs is None and type(length) is not int:
        raise TypeError(f"scan: expected xs or a whole number as length, got {length!r}")
    n: Any = length if xs is None else _length("scan", xs)
    if n < 1 or length not in (None, n):
        raise ValueError(f"scan: expected xs of length {length or '1 or more'}, got {n}")

    def step_on(carry: Any, item: Callable[[Tensor], Tensor]) -> tuple[Any, Any]:
        carry, y = step(carry, xs if xs is None else tree_map(item, xs))
        return carry, () if y is None else y  # a tree without leaves can be stacked

    def given(ys: Any) -> Any:
        return None if isinstance(ys, tuple) and not ys else ys

    carry = tree_map(lambda k: torch.tensor(k) if isinstance(k, (int, float)) else k, carry)
    if not is_compiling():
        all_ys: list[Any] = []
        for i in range(n):
            carry, y = step_on(carry, lambda leaf, i=i: leaf[i])
            all_ys.append(y)
        return carry, given(_stack("scan", all_ys))

    carry, y = step_on(carry, lambda leaf: leaf[0])
    ys = tree_map(lambda y: torch.cat([y[None], y.new_zeros(n - 1, *y.shape)]), y)

    def body(i: Tensor, carry: Any, ys: Any) -> tuple[Tensor, Any, Any]:
        def at(leaf: Tensor) -> Tensor:
            return i.view(1).to(leaf.device)

        olds = tensors("scan", carry)
        carry, y = step_on(carry, lambda leaf: leaf.index_select(0, at(leaf)).squeeze(0))

        def own(leaf: Tensor) -> Tensor:  # the loop can't hand on what it was handed itself
            return leaf.clone() if any(leaf is old for old in olds) else leaf

        ys = tree_map(lambda ys, y: ys.index_copy(0, at(ys), y[None]), ys, y)
        return i + 1, tree_map(own, carry), ys

    second = torch.ones((), dtype=torch.int64, device="cpu")
    _, carry, ys = torch.while_loop(lambda i, *_: i < n, body, (second, carry, ys))
    return carry, given(ys)


def _stack(name: str, trees: Sequence[Any]) -> Any:
    for tree in trees:
        tensors(name, tree)
    first, *others = map(tree_layout, trees)
    for other in others:
        if other != first:
            raise ValueError(f"{name}: expected trees like the first, {first}, got {other}")
    return tree_map(lambda *leaves: torch.stack(leaves), *trees)


def _length(name: str, tree: Any) -> int:
    sizes = [(*leaf.shape[:1],) for leaf in tensors(name, tree)]
    if not sizes or () in sizes or sizes.count(sizes[0]) < len(sizes):
        raise ValueError(f"{name}: expected leaves with a first axis of one size, got {sizes}")
    return sizes[0][0]
