"""From the losses of elements or samples to one number: what all losses end with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor

Reduce: TypeAlias = Callable[..., Tensor]
"""(losses, kept=None) ↦ L, of all losses or of those that are kept, where the others are 0."""

Count: TypeAlias = Callable[..., Any]
"""(losses, kept=None) ↦ what L is their sum divided by, or 1 where that would be 0."""


def reducing(name: str, reduction: str) -> tuple[Reduce, Count]:
    """How a loss of this name ends.

    Raises:
        ValueError: reduction is neither "mean" nor "sum".
    """
    if reduction == "mean":
        return _mean, _number
    if reduction == "sum":
        return _sum, lambda losses, kept=None: 1
    raise ValueError(f"{name}: expected reduction to be 'mean' or 'sum', got {reduction!r}")


def _mean(losses: Tensor, kept: Tensor | None = None) -> Tensor:
    return losses.mean() if kept is None else losses.sum() / kept.sum()


def _number(losses: Tensor, kept: Tensor | None = None) -> int | Tensor:
    return losses.numel() or 1 if kept is None else kept.sum().clamp(min=1)


def _sum(losses: Tensor, kept: Tensor | None = None) -> Tensor:
    return losses.sum()
