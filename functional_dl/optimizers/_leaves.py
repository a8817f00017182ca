"""The walk over params and their gradients, of which each optimizer is a rule for a leaf."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from functional_dl._errors import not_a, not_floating, not_keyed, not_like
from functional_dl._tree import tree_leaves
from functional_dl.contract import Params
from functional_dl.state_dict import check_untied


def each_leaf(
    name: str,
    rule: Callable[[Tensor, Tensor], Tensor],
    params: Params,
    grads: Params,
    lr: float | Tensor,
) -> Params:
    """rule(p, ∇p) for every leaf p; errors are in the name of the optimizer."""
    seen: list[Tensor] = []
    try:
        new = _each(rule, params, grads, seen)
        if not is_compiling() and len({*map(id, seen)}) < len(seen):
            check_untied(name, params)
        return new
    except Exception:
        check_grads(name, params, grads)
        for dtype in {p.dtype for p in tree_leaves(params)}:
            if not isinstance(lr, Tensor) and lr > torch.finfo(dtype).max:
                raise ValueError(f"{name}: expected lr to be a {dtype}, got {lr!r}") from None
        raise


def _each(
    rule: Callable[[Tensor, Tensor], Tensor], params: Params, grads: Params, seen: list[Tensor]
) -> Params:
    if len(params) != len(grads):
        raise ValueError
    new: Params = {}
    for k, p in params.items():
        g = grads[k]
        if isinstance(p, dict):
            new[k] = _each(rule, p, g, seen)
        elif p.shape != g.shape or (dtype := p.dtype) is not g.dtype:
            raise ValueError
        elif dtype.is_floating_point or dtype.is_complex:
            new[k] = rule(p, g)
            seen.append(p)
        else:
            raise TypeError
    return new


def check_lr(name: str, lr: float | Tensor) -> None:
    """Raises what is wrong with a learning rate."""
    if isinstance(lr, Tensor):
        if not lr.is_floating_point():
            raise not_floating(name, "lr", lr)
        if lr.dim() != 0:
            raise not_like(name, "lr", lr, lr.dtype, ())
    elif not isinstance(lr, (int, float, Real)):  # of which the first two are quicker to tell
        raise TypeError(f"{name}: expected lr to be a number or a 0-d tensor, got {lr!r}")
    elif not 0 <= lr < math.inf or (isinstance(lr, int) and lr > sys.float_info.max):
        raise ValueError(f"{name}: expected lr to be finite and not negative, got {lr!r}")


def check_grads(name: str, params: Any, grads: Any, path: str = "") -> None:
    """Raises what is wrong with gradients of params.

    Raises:
        ValueError: The keys of grads or the shape of a gradient differ from those of params.
        TypeError: A leaf is no tensor of floating or complex numbers, or its gradient's dtype
            differs.
    """
    if not isinstance(params, dict):
        raise not_a(name, f"params{path}", params, "a dict")
    if not isinstance(grads, dict) or grads.keys() != params.keys():
        raise not_keyed(name, f"grads{path}", grads, params)
    for k, p in params.items():
        g = grads[k]
        if isinstance(p, dict):
            check_grads(name, p, g, f"{path}[{k!r}]")
        elif not isinstance(p, Tensor) or not (p.is_floating_point() or p.is_complex()):
            raise not_floating(name, f"params{path}[{k!r}]", p)
        elif not isinstance(g, Tensor) or g.shape != p.shape or g.dtype != p.dtype:
            raise not_like(name, f"grads{path}[{k!r}]", g, p.dtype, p.shape)
