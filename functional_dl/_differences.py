"""Derivatives by central differences in float64, with a bound for their error.

Let change(h) = ⟨c, f(p + h·step) − f(p)⟩, for a primal p and weights c of the output. Its
derivative at h = 0 is ⟨step, gradient⟩. It is estimated by

    central = (right + left) / 2        right = change(h) / h,  left = −change(−h) / h

which four things keep from being the derivative:

- Rounding in f. Let each output be exact for outputs and primals that are off by a few
  eps = 2⁻⁵³ of their size; 64 eps leaves room for long sums. Then change is off by at most

      delta = 64 eps (Σ |c y| + Σ scale |gradient|)     scale: the size of a leaf's elements

  and central by delta / h.
- Rounding of right and left themselves: 64 eps (|right| + |left|).
- The curvature of f. It adds a term in h², which is 64 times as large at 8h. So the difference
  of central at h and at 8h is 63 times this error.
- A kink at p, such as ReLU's at 0: there, central is the mean of two derivatives, and any number
  between them is accepted. So half their difference, right − left, is tolerated. Where f is smooth,
  right − left has terms in h and h³. Extrapolation from h and 8h removes the first:

      kink = |8 (right − left)(h) − (right − left)(8h)| / 14

The tolerance is the sum of these. A smaller h reduces the last two and leaves behind a kink that is
merely nearby, but increases the first. So the h with the smallest tolerance is used.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

ROUNDING = 64 * 2.0**-53
SMALL = 256
"""A leaf of up to so many elements is checked one element at a time."""


class Difference(NamedTuple):
    """An estimate of a derivative, how far off it may be, and the part of that due to a kink."""

    central: float
    tolerance: float
    kink: float


class Mismatch(NamedTuple):
    """An element of a gradient that is not the derivative."""

    index: list[int]
    analytic: float
    numeric: float
    tolerance: float


def scale_of(leaf: Tensor) -> float:
    """The size of a leaf's elements: that of the largest, or 1 if all are 0."""
    return float(leaf.abs().max()) if leaf.any() else 1.0


def rounding_of_change(c: Tensor, y: Tensor, gradients: Iterable[tuple[Tensor, float]]) -> float:
    """delta, for the output y and each leaf's gradient and scale."""
    of_primals = sum(scale * g[g.isfinite()].abs().sum() for g, scale in gradients)
    return ROUNDING * float((c * y).abs().nansum() + of_primals)


def central_difference(change: Callable[[float], float], delta: float) -> Difference:
    """The derivative of change at 0, from the step with the smallest tolerance."""
    best, last_central, last_jump = Difference(math.nan, math.inf, math.nan), math.nan, math.nan
    for h in (8.0**-k for k in range(3, 16)):
        if delta / h >= best.tolerance:
            break
        right, left = change(h) / h, -change(-h) / h
        central, jump = (right + left) / 2, right - left
        rounding = delta / h + ROUNDING * (abs(right) + abs(left))
        kink = abs(8 * jump - last_jump) / 14
        tolerance = abs(central - last_central) + rounding + kink
        if tolerance < best.tolerance:  # never for the first h, where it is NaN
            best = Difference(central, tolerance, kink)
        last_central, last_jump = central, jump
    return best


def find_mismatch(
    change: Callable[[Tensor], float],
    gradient: Tensor,
    scale: float,
    direction: Tensor,
    delta: float,
) -> Mismatch | None:
    """The first element of a leaf's gradient that is not the derivative, if there is one.

    The elements of a large leaf are checked all at once, along a direction. Where that fails, each
    half of it is checked, and so on down to the element. A direction with a kink is halved too:
    what is tolerated for the kink could hide a mismatch elsewhere.

    Args:
        change: ⟨c, f(p + step) − f(p)⟩, for a step in this leaf.
        gradient: The gradient of the leaf.
        scale: The length of a step in one element, before it is multiplied by h.
        direction: The step in all elements at once.
        delta: How far off change may be.
    """
    n = gradient.numel()
    parts = [range(j, j + 1) for j in range(n)] if n <= SMALL else [range(n)]
    while parts:
        part = parts.pop(0)
        inside, size = slice(part.start, part.stop), len(part)
        step = torch.zeros_like(direction)
        step.view(-1)[inside] = direction.view(-1)[inside] if size > 1 else scale
        analytic = float(gradient.flatten()[inside] @ step.view(-1)[inside])
        numeric = central_difference(lambda h, step=step: change(h * step), delta)
        holds = abs(analytic - numeric.central) <= numeric.tolerance
        if size > 1 and not (holds and numeric.kink <= numeric.tolerance / 2):
            middle = (size + 1) // 2
            parts[:0] = part[:middle], part[middle:]
        elif not holds:
            index = step.nonzero()[0].tolist()
            numbers = analytic, numeric.central, numeric.tolerance
            return Mismatch(index, *(number / scale for number in numbers))
    return None
