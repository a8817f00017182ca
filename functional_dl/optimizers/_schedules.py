"""Learning rates that change: functions of the step's number."""

from __future__ import annotations

import math
from typing import Any, Protocol, overload, runtime_checkable

import torch
from torch import Tensor

from functional_dl.optimizers._leaves import check_option


@runtime_checkable
class Schedule(Protocol):
    """The rate of a step, of its number: a number, or a 0-d tensor for one."""

    @overload
    def __call__(self, t: float) -> float: ...

    @overload
    def __call__(self, t: Tensor) -> Tensor: ...


def cosine(lr: float, steps: int, warmup: int = 0, end: float = 0.0) -> Schedule:
    """t ↦ the rate of step t: up to lr in a line, then down to end in half a cosine.

    For warmup steps, lr (t + 1) / warmup; then end + (lr − end) (1 + cos π s) / 2, where
    s = (t − warmup) / (steps − warmup) goes from 0 towards 1; from steps on, end. (Loshchilov and
    Hutter, 2017.)

    Args:
        lr: The highest rate, not negative.
        steps: How many steps there are.
        warmup: How many of them lead up to it, fewer than steps.
        end: The last rate, not negative.

    Returns:
        A function of a number, from 0 on, which gives a number; or of a 0-d tensor, which gives a
        0-d tensor of single precision, or of its own, so that it may be compiled or scanned.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: An argument is no number.

    Example:
        >>> [round(cosine(1.0, steps=6, warmup=2)(t), 2) for t in range(7)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    check_option("cosine", "lr", lr)
    check_option("cosine", "end", end)
    check_option("cosine", "steps", steps, first=1)
    check_option("cosine", "warmup", warmup, float(steps))

    def at(t: Any) -> Any:
        if isinstance(t, Tensor):
            t = t if t.is_floating_point() else t.float()
            s = ((t - warmup) / (steps - warmup)).clamp(max=1)
            falling = end + (lr - end) * (1 + torch.cos(math.pi * s)) / 2
            return torch.where(t < warmup, lr * (t + 1) / max(warmup, 1), falling)
        if t < warmup:
            return lr * (t + 1) / warmup
        s = min((t - warmup) / (steps - warmup), 1)
        return end + (lr - end) * (1 + math.cos(math.pi * s)) / 2

    return at
