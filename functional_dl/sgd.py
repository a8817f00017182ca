"""Gradient descent."""

import math
from typing import Any

import torch
from torch import Tensor

from functional_dl._errors import not_floating, not_keyed, not_like
from functional_dl.contract import Params


def sgd(params: Params, grads: Params, lr: float | Tensor, *, donate: bool = False) -> Params:
    """p ← p − lr · ∇p, for every leaf p.

    Args:
        params: Nested dicts of tensors.
        grads: The same structure, shapes and dtypes.
        lr: A finite number, not negative; or a 0-d tensor, whose value is not looked at, so that
            `torch.vmap` can give each member of an ensemble its own. In half precision a tensor
            may round the last bit otherwise than the number would.
        donate: Whether the new params may take the memory of grads, which are lost then, also where
            it raises. Nothing else may use that memory; a tensor as lr leaves it alone. It saves a
            large network 2 to 5 % of a step, and as much memory as params take.

    Returns:
        The new params; but for donated grads, nothing that is passed in is changed.

    Raises:
        ValueError: The keys or the shapes of params and grads differ, also where they would
            broadcast; or lr is negative, infinite, NaN or not 0-d.
        TypeError: A leaf is no tensor of floating or complex numbers, its gradient's dtype
            differs, or lr is no number.

    Example:
        >>> import torch
        >>> sgd({"weight": torch.tensor([1.0])}, {"weight": torch.tensor([2.0])}, lr=0.25)
        {'weight': tensor([0.5000])}
    """
    if type(lr) is not float or not 0 <= lr < math.inf:
        check_lr("sgd", lr)
        lr = lr if isinstance(lr, Tensor) else float(lr)  # by which no integers can be scaled
    try:
        return _descend(params, grads, lr, isinstance(lr, Tensor), donate)
    except Exception:
        check_grads("sgd", params, grads)
        raise


def _descend(params: Params, grads: Params, lr: Any, by_tensor: bool, donate: bool) -> Params:
    if len(params) != len(grads):
        raise ValueError
    new: Params = {}
    for k, p in params.items():
        g = grads[k]
        if isinstance(p, dict):
            new[k] = _descend(p, g, lr, by_tensor, donate)
        elif p.shape != g.shape or p.dtype is not g.dtype or (by_tensor and not _continuous(p)):
            raise ValueError
        elif by_tensor:
            new[k] = p.addcmul(g, lr, value=-1)
        else:
            # The memory of a gradient that isn't laid out as the new params is of no use.
            out = g if donate and p.is_contiguous() and g.is_contiguous() else None
            # Not add with alpha=-lr: torch 2.13's compiler loses that alpha.
            new[k] = torch.sub(p, g, alpha=lr, out=out)
    return new


def _continuous(p: Tensor) -> bool:
    return p.is_floating_point() or p.is_complex()


def check_lr(where: str, lr: float | Tensor) -> None:
    """Raises what is wrong with a learning rate."""
    if isinstance(lr, Tensor):
        if not lr.is_floating_point():
            raise not_floating(where, "lr", lr)
        if lr.dim() != 0:
            raise not_like(where, "lr", lr, lr.dtype, ())
    elif not isinstance(lr, (int, float)):
        raise TypeError(f"{where}: expected lr to be a number or a 0-d tensor, got {lr!r}")
    elif not 0 <= lr < math.inf:
        raise ValueError(f"{where}: expected lr to be finite and not negative, got {lr!r}")


def check_grads(where: str, params: Any, grads: Any, path: str = "") -> None:
    """Raises what is wrong with gradients of params.

    Raises:
        ValueError: The keys of grads or the shape of a gradient differ from those of params.
        TypeError: A leaf is no tensor of floating or complex numbers, or its gradient's dtype
            differs.
    """
    if not isinstance(grads, dict) or grads.keys() != params.keys():
        raise not_keyed(where, f"grads{path}", grads, params)
    for k, p in params.items():
        g = grads[k]
        if isinstance(p, dict):
            check_grads(where, p, g, f"{path}[{k!r}]")
        elif not isinstance(p, Tensor) or not _continuous(p):
            raise not_floating(where, f"params{path}[{k!r}]", p)
        elif not isinstance(g, Tensor) or g.shape != p.shape or g.dtype != p.dtype:
            raise not_like(where, f"grads{path}[{k!r}]", g, p.dtype, p.shape)
