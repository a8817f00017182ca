"""The kinds of figures that the sections of bench have."""

from collections.abc import Sequence
from itertools import product
from textwrap import fill
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import figures
from racing.race import Entry, quartiles, ratio
from report.contestant import Whose

COLORS = {Whose.OURS: figures.OURS, Whose.PYTORCH: figures.PYTORCH, Whose.PEER: figures.PEER}
STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))
"""Lines and marks, which tell apart what has one colour."""


def bars(entries: list[Entry], label: str = "times as fast as PyTorch eager") -> Figure:
    """How many times as fast, or as little, as the first of the case each is."""
    cases = list(dict.fromkeys(_spell(e) for e in entries))
    tallest = max(sum(_spell(e) == case for e in entries) for case in cases)
    columns = min(2, len(cases))
    figure, axes = plt.subplots(
        -(-len(cases) // columns),
        columns,
        squeeze=False,
        figsize=(12, (1.3 + 0.28 * tallest) * -(-len(cases) // columns)),
    )
    for axis, case in zip(axes.flat, cases, strict=False):
        of_case = [e for e in entries if _spell(e) == case][::-1]
        ratios = [ratio(entries, e) for e in of_case]
        colors = [COLORS[e.whose] for e in of_case]
        drawn = axis.barh([e.who for e in of_case], ratios, color=colors)
        axis.bar_label(drawn, [f"{r:.2f}" for r in ratios], padding=3)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set(title=fill(case, 40), xlabel=label)
        axis.margins(x=0.2)
    present = [whose for whose in COLORS if any(e.whose is whose for e in entries)]
    figure.legend(
        handles=[Patch(color=COLORS[whose], label=whose.value) for whose in present],
        loc="outside lower center",
        ncols=len(present),
    )
    return figure


def lines(entries: list[Entry], along: str, by: str) -> Figure:
    """Microseconds with their quartiles: a panel for each value of by, a line for each name."""
    columns = list(dict.fromkeys(e.case[by] for e in entries))
    styles = _styles(entries)
    figure, axes = plt.subplots(1, len(columns), squeeze=False, sharey=True, figsize=(12, 5.5))
    for axis, column in zip(axes[0], columns, strict=True):
        for who, style in styles.items():
            of_line = [e for e in entries if e.who == who and e.case[by] == column]
            if not of_line:
                continue
            xs = [e.case[along] for e in of_line]
            low, median, high = (
                [1e6 * s for s in q]
                for q in zip(*(quartiles(e.values) for e in of_line), strict=True)
            )
            axis.plot(xs, median, label=who, **style)
            axis.fill_between(xs, low, high, color=style["color"], alpha=0.2)
        axis.set(title=f"{by} {column}", xlabel=along, xscale="log", yscale="log")
        ticks = sorted({e.case[along] for e in entries})
        axis.set_xticks(ticks, [str(x) for x in ticks])
        axis.minorticks_off()
        axis.legend()
    axes[0][0].set_ylabel("µs a step: medians and quartiles")
    return figure


def heat_map(entries: list[Entry]) -> Figure:
    """How many times as fast as PyTorch we are, by width and batch."""
    ours = {
        (e.case["width"], e.case["batch"]): ratio(entries, e)
        for e in entries
        if e.whose is Whose.OURS
    }
    widths, batches = (sorted({key[i] for key in ours}) for i in (0, 1))
    ratios = [[ours[w, n] for n in batches] for w in widths]
    figure, axis = plt.subplots(figsize=(8, 6))
    image = axis.imshow(ratios, cmap=figures.SCALE, norm=TwoSlopeNorm(1, 0, 4), origin="lower")
    for i, j in product(range(len(widths)), range(len(batches))):
        color = "white" if not 0.4 < ratios[i][j] < 2.5 else "black"
        axis.text(j, i, f"{ratios[i][j]:.2f}", ha="center", va="center", color=color)
    axis.set_xticks(range(len(batches)), batches)
    axis.set_yticks(range(len(widths)), widths)
    axis.set(xlabel="batch", ylabel="width")
    figure.colorbar(image, label="the core: times as fast as PyTorch eager")
    return figure


def _styles(entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """How the line of each name is drawn: by whose it is, and unlike the others of theirs."""
    styles: dict[str, dict[str, Any]] = {}
    of_owner: dict[Whose, int] = {}
    for e in entries:
        if e.who not in styles:
            i = of_owner[e.whose] = of_owner.get(e.whose, -1) + 1
            line, mark = STYLES[i % len(STYLES)]
            styles[e.who] = {"color": COLORS[e.whose], "linestyle": line, "marker": mark}
    return styles


def _spell(entry: Entry) -> str:
    return ", ".join(f"{k} {v}" for k, v in entry.case.items())
