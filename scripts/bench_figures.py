"""The figures of bench.py, as PNG and SVG: one for each section."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import figures
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import TwoSlopeNorm
from race import Entry, quartiles, ratio

OURS, THEIRS = "#4477aa", "#f0a860"


def draw(section: str, entries: list[Entry], folder: Path) -> None:
    """The section's figure, into bench-SECTION.png and .svg."""
    kinds: dict[str, Callable[[list[Entry]], Any]] = {
        "seeds": lambda e: lines(e, "seeds", "network"),
        "threads": lambda e: lines(e, "width", "threads"),
        "growth": heat_map,
    }
    figure = kinds.get(section, bars)([e for e in entries if e.values])
    figures.save(figure, folder / f"bench-{section}")


def bars(entries: list[Entry]) -> Any:
    """How many times as fast, or as little, as the first of the case each is."""
    cases = list(dict.fromkeys(_spell(e) for e in entries))
    tallest = max(sum(_spell(e) == case for e in entries) for case in cases)
    columns = min(2, len(cases))
    figure, axes = plt.subplots(
        -(-len(cases) // columns),
        columns,
        squeeze=False,
        figsize=(12, (1 + 0.28 * tallest) * -(-len(cases) // columns)),
    )
    for axis, case in zip(axes.flat, cases, strict=False):
        of_case = [e for e in entries if _spell(e) == case][::-1]
        ratios = [ratio(entries, e) for e in of_case]
        ours = [e.who.startswith(("core", "compat", "value", "its", "exported")) for e in of_case]
        names = [e.who for e in of_case]
        drawn = axis.barh(names, ratios, color=[OURS if o else THEIRS for o in ours])
        axis.bar_label(drawn, [f"{r:.2f}" for r in ratios], padding=3)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set(title=case, xlabel="PyTorch's / this one's")
        axis.margins(x=0.14)
    return figure


def lines(entries: list[Entry], along: str, by: str) -> Any:
    """Microseconds, with a line for each contestant."""
    columns = list(dict.fromkeys(e.case[by] for e in entries))
    figure, axes = plt.subplots(1, len(columns), squeeze=False, sharey=True, figsize=(12, 5))
    for axis, column in zip(axes[0], columns, strict=True):
        for who in dict.fromkeys(e.who for e in entries):
            of_line = [e for e in entries if e.who == who and e.case[by] == column]
            low, median, high = zip(*(quartiles(e.values) for e in of_line), strict=True)
            xs = [e.case[along] for e in of_line]
            (line,) = axis.plot(xs, [1e6 * s for s in median], marker="o", label=who)
            axis.fill_between(
                xs,
                [1e6 * s for s in low],
                [1e6 * s for s in high],
                color=line.get_color(),
                alpha=0.2,
            )
        axis.set(
            title=f"{by} {column}", xlabel=along, ylabel="µs a step", xscale="log", yscale="log"
        )
        ticks = sorted({e.case[along] for e in entries})
        axis.set_xticks(ticks, [str(x) for x in ticks])
        axis.minorticks_off()
        axis.legend()
    return figure


def heat_map(entries: list[Entry]) -> Any:
    """How many times as fast as PyTorch the core is, by width and batch."""
    ours = {
        (e.case["width"], e.case["batch"]): ratio(entries, e) for e in entries if e.who == "core"
    }
    widths, batches = (sorted({key[i] for key in ours}) for i in (0, 1))
    ratios = torch.tensor([[ours[w, n] for n in batches] for w in widths])
    figure, axis = plt.subplots(figsize=(8, 6))
    image = axis.imshow(ratios, cmap="RdBu", norm=TwoSlopeNorm(1, 0, 4), origin="lower")
    for i, j in torch.cartesian_prod(*(torch.arange(len(v)) for v in (widths, batches))).tolist():
        color = "white" if ratios[i, j] > 2.5 else "black"
        axis.text(j, i, f"{ratios[i, j]:.2f}", ha="center", va="center", color=color)
    axis.set_xticks(range(len(batches)), batches)
    axis.set_yticks(range(len(widths)), widths)
    axis.set(xlabel="batch", ylabel="width", title="PyTorch's time / the core's")
    figure.colorbar(image)
    return figure


def _spell(entry: Entry) -> str:
    return ", ".join(f"{k} {v}" for k, v in entry.case.items())
