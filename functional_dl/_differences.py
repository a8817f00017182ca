"""Derivatives by central differences in float64, with a bound on their error.

Let change(step) = ⟨c, f(p + step) − f(p)⟩, where p is a leaf of the primals and c weighs the
elements of the output. A step moves an element of p, or several, by their own sizes times random
numbers between 1 and 2. The derivative of change along it is ⟨step, gradient⟩. For a factor h it is
estimated by

    right = change(h step) / h
    left = −change(−h step) / h
    central = (right + left) / 2

Where f has no value on one side, the other stands for both. There are four reasons why central may
be off:

- Rounding within f. Assume that each output is off by a few eps = 2⁻⁵³ of its size, and by what it
  would change if the primals were off by a few eps of theirs. 64 eps leaves room for long sums.
  Then change is off by at most

      delta = 64 eps (Σ |c y| + Σ |p gradient|)

  and central by delta / h. Outputs below 1 are rounded like the largest one below 1, or like 1 if
  there are larger ones, for that is how 1 − tanh² is.
- Rounding of right and left themselves, by 64 eps (|right| + |left|).
- The third derivative of f, with a term in h². That term is 64 times as large for 8h, so
  |central(h) − central(8h)| is 63 times this error.
- A kink at p, such as ReLU's at 0. There, right and left tend to different derivatives, and any
  number between them is accepted. It is within half their distance of central. The distance is the
  limit of jump = right − left. Where f is smooth, jump has a term in h and one in h³. The former is
  eliminated by

      kink = |8 jump(h) − jump(8h)| / 14

  which tends to half the distance at a kink, and to 0 elsewhere.

The sum of these four is the tolerance for one h. The first h is large enough for delta, but not
above 1/64. If its tolerance is a millionth of the gradient, which is within it, that is enough.

Otherwise h grows from 8⁻¹⁵ until the step has the size of p's largest element, and at least 1. For
small h, rounding is large. As h grows it shrinks, until the step reaches what isn't at p: a kink, a
plateau, the end of f's domain. There, several h may agree on what isn't the derivative. So the
intervals central ± tolerance are intersected from the smallest h on, until one contradicts those
before, and up to the best one: that with the smallest tolerance beside kink. If fewer than four
agree, there is no derivative.

An f whose outputs are all tiny may still be rounded like 1, as log softmax is, and doesn't change
at all for small h. So the smallest change that is seen counts as rounding, up to the delta of
outputs of size 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

ROUNDING = 64 * 2.0**-53
SMALL = 256
"""A leaf of up to so many elements is checked one element at a time."""
ENOUGH = 2.0**-20
"""A tolerance of so much of the gradient is small enough."""
APART = 20
"""Outputs are of different size if they are so many powers of two apart."""

Look: TypeAlias = Callable[[int], tuple[float, float]]
"""Gives right and left for h = 8ᵏ; both are NaN where f has no value on either side."""


class Estimate(NamedTuple):
    """The derivative is central, give or take tolerance, of which kink is due to a kink."""

    central: float
    tolerance: float
    kink: float


class Mismatch(NamedTuple):
    """An element whose gradient is not the derivative."""

    index: list[int]
    numbers: dict[str, float]


def sizes_of(leaf: Tensor) -> Tensor:
    """The size of each element; for a zero, that of the others on average, and at most 1."""
    size = leaf.abs()
    usual = size[size > 0].log().mean().exp().clamp(max=1)
    return size.where(size > 0, usual.nan_to_num(1)).clamp(2.0**-900, 2.0**900)


def sizes_of_output(y: Tensor) -> Tensor:
    """The size of each element, as far as rounding goes."""
    size = y.abs()
    return size.clamp(min=min(1.0, float(size.max()))) if y.numel() else size


def rounding_of_change(
    c: Tensor, size: Tensor, leaves: Iterable[tuple[Tensor, Tensor]] = ()
) -> float:
    """delta, for the sizes of outputs, and pairs of gradients and leaves."""
    parts = [c * size, *(g * sizes_of(p) for g, p in leaves)]
    return sum(float((ROUNDING * t[t.isfinite()]).abs().sum()) for t in parts)


def by_size(c: Tensor, size: Tensor) -> list[Tensor]:
    """c, or its parts for outputs of very different size, so that none hides another."""
    if not size.numel():
        return []
    exponent = size.frexp().exponent
    rank = (exponent.max() - exponent) // APART
    return [c.where(rank == r, 0) for r in rank.unique()]


def log8(x: float) -> int:
    """The first power of 8 that is at least x, or 0 if there is none."""
    return math.ceil(math.log(x, 8)) if 0 < x < math.inf else 0


def sides(change: Callable[[Tensor], float], step: Tensor) -> Look:
    """The look along a step; no change is computed twice."""

    @cache
    def look(k: int) -> tuple[float, float]:
        right, left = change(8.0**k * step) / 8.0**k, -change(-(8.0**k) * step) / 8.0**k
        return left if math.isnan(right) else right, right if math.isnan(left) else left

    return look


def estimate(look: Look, k: int, delta: float) -> Estimate:
    """What is seen for h = 8ᵏ, if change is off by at most delta."""
    (right, left), (far_right, far_left) = look(k), look(k + 1)
    central, jump = (right + left) / 2, right - left
    kink = abs(8 * jump - (far_right - far_left)) / 14
    curved = abs(central - (far_right + far_left) / 2)
    rounded = delta / 8.0**k + ROUNDING * (abs(right) + abs(left))
    return Estimate(central, rounded + curved + kink, kink)


def limit(look: Look, last: int, delta: float, most: float) -> Estimate:
    """What all h from 8⁻¹⁵ to 8ˡᵃˢᵗ agree on, up to the first that doesn't."""
    changes = [8.0**k * abs(side) for k in range(-15, last + 1) for side in look(k)]
    delta = max(delta, min([most, *(change for change in changes if change > 0)]))
    low, high, agreed = -math.inf, math.inf, list[tuple[float, Estimate]]()
    for k in range(-15, last):
        central, tolerance, kink = estimate(look, k, delta)
        below, above = central - tolerance, central + tolerance
        if not (below <= high and low <= above):
            break
        low, high = max(low, below), min(high, above)
        central = min(max(central, low), high)
        both = Estimate(central, max(high - central, central - low), kink)
        agreed.append((tolerance - kink, both))
    return min(agreed)[1] if len(agreed) > 3 else Estimate(math.nan, math.inf, 0.0)


def find_mismatch(
    change: Callable[[Tensor], float],
    p: Tensor,
    gradient: Tensor,
    draw: Tensor,
    delta: float,
    most: float,
) -> tuple[float, Mismatch | None]:
    """How large an error may be unseen, and an element whose gradient is not the derivative.

    The elements of a large leaf that weigh about the same are checked all at once, along a random
    direction. If that fails, each half of them is checked, and so on down to single elements. The
    same is done where most of the tolerance is due to a kink, as it could hide a mismatch in other
    elements.

    Args:
        change: ⟨c, f(p + step) − f(p)⟩ as a function of step; NaN where f has no value.
        p: A leaf of the primals, not empty.
        gradient: The gradient of ⟨c, f⟩ with respect to p.
        draw: The random direction. Its elements are of size 1 to 2. A single element, too, is moved
            by a random number of its size, lest it be a period of f.
        delta: How far off change may be.
        most: How far off change may be at most, if it is seen to be.

    Returns:
        The error of an element is relative to its gradient, or to the largest one where that is 0.
    """
    size, g, direction = sizes_of(p).flatten(), gradient.flatten(), draw.flatten()
    largest, top, unseen = float(g.abs().max()) or 1.0, max(1.0, float(p.abs().max())), 0.0
    parts = first_parts((g * size).abs())
    while parts:
        part = parts.pop(0)
        single = len(part) == 1
        step = torch.zeros_like(size)
        step[part] = size[part] * (direction[part].abs() if single else direction[part])
        analytic, widest = float(g[part] @ step[part]), float(step.abs().max())
        weight = abs(analytic) or largest * widest

        look = sides(change, step.view_as(p))
        found = estimate(look, min(max(-5, log8(8 * delta / ENOUGH / weight)), -2), delta)
        clear = found.tolerance <= ENOUGH * weight
        if not clear or (single and not within(analytic, found)):
            found = limit(look, min(log8(top / widest), 20), delta, most)

        if not single and not (within(analytic, found) and found.kink <= found.tolerance / 2):
            parts[:0] = part.split((len(part) + 1) // 2)
        elif not within(analytic, found):
            numbers = {"analytic": analytic, "numeric": found.central, "tolerance": found.tolerance}
            index = step.view_as(p).nonzero()[0].tolist()
            return unseen, Mismatch(index, {k: v / widest for k, v in numbers.items()})
        else:
            compared = g[part].where(g[part] != 0, largest) * step[part]
            unseen = max(unseen, (found.tolerance - found.kink) / float(compared.abs().min()))
    return unseen, None


def first_parts(weights: Tensor) -> list[Tensor]:
    """The indices of elements that are checked at once; those that weigh most come first."""
    if len(weights) <= SMALL:
        return [*torch.arange(len(weights), device=weights.device).split(1)]
    rank = weights.log2().div(3).floor().nan_to_num()
    return [(rank == r).nonzero().flatten() for r in rank.unique().flip(0)]


def within(analytic: float, found: Estimate) -> bool:
    """Whether it may be the derivative."""
    return abs(analytic - found.central) <= found.tolerance
