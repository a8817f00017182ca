"""Contestants, checked against PyTorch, then timed in turns, so that noise is the same for all."""

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

from report.contestant import Contestant, Whose

TOLERANCE = 1e-4
"""By how much losses may be off, relatively, where equal bits are not asked for. Other rounding
moves them by some 1e-6 in the first hundreds of steps; a wrong formula, by far more."""

Turn: TypeAlias = Callable[[], Tensor]
"""Trains some steps, and returns their losses."""


class Entry(NamedTuple):
    """What a contestant came to in a case."""

    case: dict[str, Any]
    who: str
    whose: Whose
    losses: str
    values: list[float]
    """Seconds that a step took in each turn, or bytes; none if the losses are wrong."""


def contest(
    case: dict[str, Any],
    contestants: Sequence[Contestant],
    steps: int,
    rounds: int,
    checked: int = 1,
) -> list[Entry]:
    """Compares the losses of the first turns with those of the first contestant; then all race.

    Args:
        case: What the contest is about.
        contestants: Their begin takes nothing and returns a Turn. The first is the one that the
            others are compared with.
        steps: In a turn.
        rounds: In each, all have a turn, in random order; one more in the beginning isn't counted.
        checked: How many turns are compared.
    """
    turns: dict[Contestant, Turn] = {}
    verdicts: dict[Contestant, str] = {}
    theirs = torch.empty(0)
    about = ", ".join(f"{k} {v}" for k, v in case.items())
    for contestant in tqdm(contestants, f"{about}: checked", leave=False):
        try:
            turn = start(contestant)
        except ImportError as error:
            tqdm.write(
                f"{contestant.name} is left out: {error}; pip install '.[peers]'", file=sys.stderr
            )
            continue
        losses = torch.stack([turn() for _ in range(checked)])
        theirs = losses if not verdicts else theirs
        right, verdicts[contestant] = compare(losses, theirs, contestant.exact)
        if right:
            turns[contestant] = turn

    rng = random.Random(0)
    seconds: dict[Contestant, list[float]] = {contestant: [] for contestant in verdicts}
    with tqdm(total=(1 + rounds) * len(turns), desc=about, unit="turn", leave=False) as progress:
        for i in range(1 + rounds):
            for contestant in rng.sample([*turns], len(turns)):
                before = time.perf_counter()
                turns[contestant]()
                elapsed = time.perf_counter() - before
                if i > 0:
                    seconds[contestant].append(elapsed / steps)
                progress.update()
    return [Entry(case, c.name, c.whose, what, seconds[c]) for c, what in verdicts.items()]


def start(contestant: Contestant) -> Turn:
    """Has it begin; its turns are in its context."""
    turn = contestant.begin()

    def in_context() -> Tensor:
        with contestant.context():
            return turn()

    return in_context


def compare(losses: Tensor, theirs: Tensor, exact: bool) -> tuple[bool, str]:
    """Whether losses are right, and how they relate to PyTorch's."""
    off = ((losses - theirs) / theirs).abs().max().item()
    if torch.equal(losses, theirs):
        return True, "equal bits"
    right = off <= TOLERANCE and not exact
    return right, f"within {off:.0e}" if right else f"wrong by {off:.0e}"


def ratio(entries: list[Entry], entry: Entry) -> float:
    """How many times as fast as the first of its case it is, by medians."""
    first = next(e for e in entries if e.case == entry.case)
    return statistics.median(first.values) / statistics.median(entry.values)


def rows(entries: list[Entry]) -> list[dict[str, str]]:
    """A row for each entry, with all there is to say."""
    return [
        {
            **{k: str(v) for k, v in e.case.items()},
            "trained by": e.who,
            "times as fast": f"{ratio(entries, e):.2f}" if e.values else "–",
            "µs a step (quartiles)": microseconds(e),
            "losses": e.losses,
        }
        for e in entries
    ]


def pivot(
    entries: list[Entry],
    row: Callable[[Entry], dict[str, Any]],
    column: Callable[[Entry], str],
    cell: Callable[[Entry], str],
) -> list[dict[str, Any]]:
    """A row for all entries that share one, with a cell for each in its column."""
    table: list[dict[str, Any]] = []
    for e in entries:
        same = next((r for r in table if row(e).items() <= r.items()), None)
        if same is None:
            table.append(same := row(e))
        same[column(e)] = cell(e) if e.values else e.losses
    return table


def microseconds(entry: Entry) -> str:
    """The median and the quartiles."""
    if not entry.values:
        return "–"
    low, median, high = (1e6 * s for s in quartiles(entry.values))
    return f"{median:,.1f} ({low:,.1f}–{high:,.1f})"


def quartiles(values: list[float]) -> list[float]:
    """The three of them; all the same if there is one value."""
    return statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
