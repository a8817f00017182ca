"""Gradient descent."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from functional_dl._errors import not_floating, not_like
from functional_dl._tree import map_leaves
from functional_dl.contract import Params


def sgd(params: Params, grads: Params, lr: float | Tensor) -> Params:
    """p ← p − lr · ∇p, for every leaf p.

    Args:
        params: Nested dicts of tensors.
        grads: The same structure, shapes and dtypes.
        lr: A finite number, not negative; or a 0-d tensor, whose value is not looked at, so that
            `torch.vmap` can give each member of an ensemble its own. In half precision a tensor
            may round the last bit otherwise than the number would.

    Returns:
        The new params; nothing that is passed in is changed.

    Raises:
        ValueError: The keys or the shapes of params and grads differ, also where they would
            broadcast; or lr is negative, infinite, NaN or not 0-d.
        TypeError: A leaf is no floating tensor, its gradient's dtype differs, or lr is no number.

    Example:
        >>> sgd({"weight": torch.tensor([1.0])}, {"weight": torch.tensor([2.0])}, lr=0.25)
        {'weight': tensor([0.5000])}
    """
    return map_leaves("sgd", descent("sgd", lr), params, grads)


def descent(where: str, lr: float | Tensor) -> Callable[..., Tensor]:
    """(p, g, out=None) ↦ p − lr · g, for one tensor; an error about lr names where."""
    if isinstance(lr, Tensor):
        if not lr.is_floating_point():
            raise not_floating(where, "lr", lr)
        if lr.dim() != 0:
            raise not_like(where, "lr", lr, lr.dtype, ())
        return partial(torch.addcmul, tensor2=lr, value=-1)
    if not isinstance(lr, (int, float)):
        raise TypeError(f"{where}: expected lr to be a number or a 0-d tensor, got {lr!r}")
    if not (lr >= 0 and math.isfinite(lr)):
        raise ValueError(f"{where}: expected lr to be finite and not negative, got {lr!r}")
    # Not add with alpha=-lr: torch 2.13's compiler loses that alpha.
    return partial(torch.sub, alpha=lr)
