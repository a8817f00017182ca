"""Gradient descent."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from functional_dl._numerics import computed_once
from functional_dl.contract import Params
from functional_dl.optimizers._leaves import check_lr, each_leaf, on_one
from functional_dl.optimizers._operations import Operations, minus_multiple


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
            step, and as much memory as params take.

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
    check_lr("sgd", lr)
    if not isinstance(lr, Tensor):
        leaf = partial(torch.sub, alpha=float(lr))  # `minus_multiple`, in fewer calls
        return each_leaf("sgd", leaf, params, grads, lr, donate)[0]
    rate = computed_once(lr)

    def rule(do: Operations, p: Any, g: Any) -> tuple[Any]:
        return (minus_multiple(do, p, rate, g),)

    return each_leaf("sgd", lambda p, g: on_one(rule, False, p, g)[0], params, grads, lr)[0]
