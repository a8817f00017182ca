"""How the time for a step grows with the width of a network, on one thread and on two.

There are widths where a second thread makes a product slower: pytorch#144633.
"""

from argparse import Namespace
from functools import partial
from typing import Any

import cli
from racing import charts, sized
from racing.race import Entry, pivot, quartiles, ratio
from racing.section import Section
from racing.sections.growth import WIDTHS
from report.experiment import RELU

BATCH = 128


def measure(options: Namespace) -> list[Entry]:
    """Each width and number of threads is a case."""
    entries: list[Entry] = []
    for width in WIDTHS:
        for threads in range(1, 1 + options.threads):
            cli.use_threads(threads)
            case = {"width": width, "threads": threads}
            entries += sized.contest_of(case, RELU, [width] * 3, BATCH, options)
    return entries


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """µs a step of each, by width, and how many times as fast as PyTorch on as many threads."""
    return pivot(
        entries,
        lambda e: {"width": e.case["width"]},
        lambda e: f"{e.who}, µs on {e.case['threads']}",
        lambda e: f"{quartiles(e.values)[1] * 1e6:,.0f} ({ratio(entries, e):.2f})",
    )


SECTION = Section(
    "threads",
    "How it grows with width on one thread and on two, batch 128",
    2,
    measure,
    table,
    partial(charts.lines, along="width", by="threads"),
)
