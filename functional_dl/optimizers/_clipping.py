"""Gradients that are no longer than they should be."""

from __future__ import annotations

import torch
from torch import Tensor

from functional_dl._errors import not_a, not_floating
from functional_dl._tree import tensors, tree_map
from functional_dl.contract import Params


def clip_norm(grads: Params, limit: float) -> tuple[Params, Tensor]:
    """‖∇‖ over all leaves; ∇ · min(1, limit / (‖∇‖ + 10⁻⁶)).

    Bits are those of `torch.nn.utils.clip_grad_norm_`, where all leaves have one dtype.

    Args:
        grads: Nested dicts of tensors.
        limit: Not negative; with infinity, the norm alone is of interest.

    Returns:
        The gradients, none longer than before, and the norm that they had, 0-d.

    Raises:
        ValueError: limit is negative or NaN.
        TypeError: limit is no number, or a leaf no tensor of floating or complex numbers.

    Example:
        >>> import torch
        >>> clip_norm({"weight": torch.tensor([3.0, 4.0])}, 1.0)
        ({'weight': tensor([0.6000, 0.8000])}, tensor(5.))
    """
    if not isinstance(limit, (int, float)):
        raise not_a("clip_norm", "limit", limit, "a number")
    if not limit >= 0:
        raise ValueError(f"clip_norm: expected limit not to be negative, got {limit!r}")
    leaves = tensors("clip_norm", grads)
    for leaf in leaves:
        if not (leaf.is_floating_point() or leaf.is_complex()):
            raise not_floating("clip_norm", "a leaf", leaf)
    if not leaves:
        return grads, torch.zeros(())
    norm = torch.linalg.vector_norm(torch.stack([*map(torch.linalg.vector_norm, leaves)]))
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    return tree_map(lambda g: (g * factor).to(g.dtype), grads), norm
