"""Derivatives by central differences in float64, with a bound on their error.

Let change(step) = ⟨c, f(p + step) − f(p)⟩, where p is a leaf of the primals and c weighs the
elements of the output. The derivative of change along a step is ⟨step, gradient⟩. For a factor h
from 8⁻⁴, 8⁻⁵, … it is estimated by

    right = change(h step) / h
    left = −change(−h step) / h
    central = (right + left) / 2

There are four reasons why central may be off:

- Rounding within f. Assume that each output is off by a few eps = 2⁻⁵³ of its size, and by what it
  would change if the primals were off by a few eps of theirs. 64 eps leaves room for long sums.
  Then change is off by at most

      delta = 64 eps (Σ |c y| + Σ scale |gradient|)

  where scale is the size of a leaf's elements, and central by delta / h.
- Rounding of right and left themselves, by 64 eps (|right| + |left|).
- The third derivative of f, with a term in h². That term is 64 times as large for 8h, so
  |central(h) − central(8h)| is 63 times this error.
- A kink at p, such as ReLU's at 0. There, right and left tend to different derivatives, and any
  number between them is accepted. It is within half their distance of central. The distance is the
  limit of jump = right − left. Where f is smooth, jump has a term in h and one in h³. The former is
  eliminated by

      kink = |8 jump(h) − jump(8h)| / 14

  which tends to half the distance at a kink, and to 0 elsewhere.

The tolerance is the sum of these four. As h shrinks, rounding grows and the rest shrinks; at some
point, h step no longer reaches a kink that is merely near p. The h with the smallest tolerance is
used.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

ROUNDING = 64 * 2.0**-53
SMALL = 256
"""A leaf of up to so many elements is checked one element at a time."""


def scale_of(leaf: Tensor) -> float:
    """The size of a leaf's elements: that of the largest, or 1 if all are 0."""
    return float(leaf.abs().max()) if leaf.any() else 1.0


def rounding_of_change(c: Tensor, y: Tensor, leaves: Iterable[tuple[Tensor, Tensor]]) -> float:
    """delta, for the output y and pairs of gradients and leaves."""
    of_primals = sum(scale_of(p) * g[g.isfinite()].abs().sum() for g, p in leaves)
    return ROUNDING * float((c * y).abs().nansum() + of_primals)


def central_difference(
    change: Callable[[Tensor], float], step: Tensor, delta: float
) -> tuple[float, float, float]:
    """The smallest tolerance, central for the same h, and how much of the tolerance is kink."""
    best = math.inf, math.nan, math.nan
    last_central = last_jump = math.nan
    for h in (8.0**-k for k in range(3, 16)):
        if delta / h >= best[0]:
            break
        right, left = change(h * step) / h, -change(-h * step) / h
        central, jump = (right + left) / 2, right - left
        rounding = delta / h + ROUNDING * (abs(right) + abs(left))
        kink = abs(8 * jump - last_jump) / 14
        tolerance = abs(central - last_central) + rounding + kink
        if tolerance < best[0]:  # never for the first h: there it is NaN
            best = tolerance, central, kink
        last_central, last_jump = central, jump
    return best


def find_mismatch(
    change: Callable[[Tensor], float], p: Tensor, gradient: Tensor, draw: Tensor, delta: float
) -> tuple[list[int], dict[str, float]] | None:
    """The index of the first element whose gradient is not the derivative, and the numbers.

    The elements of a large leaf are checked all at once, along a random direction. If that fails,
    each half of them is checked, and so on down to single elements. The same is done where most of
    the tolerance is due to a kink, as it could hide a mismatch in other elements.

    Args:
        change: ⟨c, f(p + step) − f(p)⟩ as a function of step.
        p: A leaf of the primals.
        gradient: The gradient of ⟨c, f⟩ with respect to p.
        draw: The random direction. Its elements are of size 1 or so.
        delta: How far off change may be.
    """
    n, scale = p.numel(), scale_of(p)
    parts = [slice(j, j + 1) for j in range(n)] if n <= SMALL else [slice(0, n)]
    while parts:
        part = parts.pop(0)
        size = part.stop - part.start
        step = torch.zeros_like(draw)
        step.view(-1)[part] = scale * (draw.view(-1)[part] if size > 1 else 1)
        analytic = float(gradient.flatten()[part] @ step.view(-1)[part])
        tolerance, numeric, kink = central_difference(change, step, delta)
        holds = abs(analytic - numeric) <= tolerance
        if size > 1 and not (holds and kink <= tolerance / 2):
            middle = part.start + (size + 1) // 2
            parts[:0] = slice(part.start, middle), slice(middle, part.stop)
        elif not holds:
            numbers = {"analytic": analytic, "numeric": numeric, "tolerance": tolerance}
            return step.nonzero()[0].tolist(), {k: v / scale for k, v in numbers.items()}
    return None
