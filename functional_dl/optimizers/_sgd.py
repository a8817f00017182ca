"""Gradient descent."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.compiler import is_compiling

from functional_dl._numerics import computed_once
from functional_dl.contract import Params
from functional_dl.optimizers._leaves import SMALL, one_by_one, pairs, tree_like
from functional_dl.optimizers._operations import Operations, minus_multiple, sub_each


def sgd(params: Params, grads: Params, lr: float | Tensor, *, donate: bool = False) -> Params:
    """p ← p − lr · ∇p, for every leaf p.

    Bits: those of `torch.optim.SGD`, with lr a number.

    Args:
        params: Nested dicts of tensors.
        grads: The same structure, shapes and dtypes.
        lr: A finite number, not negative; or a 0-d tensor, whose value is not looked at, so that
            `torch.vmap` can give each member of an ensemble its own. In half precision a tensor
            may round the last bit otherwise than the number would.
        donate: Whether the new params may take the memory of grads, which are lost then, also where
            it raises. Nothing else may use that memory. It is for inference mode: grads made or
            used elsewhere, where autograd or `torch.func` may follow them, are left alone, as they
            are with a tensor as lr and in `torch.vmap`. It saves a large network 2 to 5 % of a
            step, and as much memory as params take. A small one, of which no leaf has more than
            16,384 elements, is quicker without.

    Returns:
        The new params; but for donated grads, nothing that is passed in is changed.

    Raises:
        ValueError: The keys or the shapes of params and grads differ, also where they would
            broadcast; two leaves of params are one tensor, which a step would make two; or lr is
            negative, infinite (in the params' dtype, too), NaN or not 0-d.
        TypeError: A leaf is no tensor of floating or complex numbers, its gradient's dtype
            differs, or lr is no number.

    Example:
        >>> import torch
        >>> sgd({"weight": torch.tensor([1.0])}, {"weight": torch.tensor([2.0])}, lr=0.25)
        {'weight': tensor([0.5000])}
    """
    ps, gs = pairs("sgd", params, grads, lr)
    large = donate and max(map(Tensor.numel, ps), default=0) > SMALL
    if not large and not isinstance(lr, Tensor) and not is_compiling():
        try:  # the rule below, in the fewest calls
            return tree_like(params, iter(sub_each(ps, gs, alpha=float(lr))))
        except RuntimeError:  # torch.vmap
            pass
    rate = computed_once(lr) if isinstance(lr, Tensor) else lr

    def rule(do: Operations, p: Any, g: Any) -> tuple[Any]:
        return (minus_multiple(do, p, rate, g, home=g),)

    return tree_like(params, iter(one_by_one(rule, donate, ps, gs)[0]))
