"""How the time for a step grows with the network and the batch, in relation to PyTorch's."""

from argparse import Namespace
from itertools import product
from typing import Any

from racing import charts, sized
from racing.race import Entry, pivot, ratio
from racing.section import Section
from report.contestant import Whose
from report.experiment import RELU

WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)


def measure(options: Namespace) -> list[Entry]:
    """Each width and batch is a case, of two linear layers with ReLU in between."""
    both = (sized.PYTORCH, sized.CORE)
    return [
        entry
        for w, n in product(WIDTHS, BATCHES)
        for entry in sized.contest_of({"width": w, "batch": n}, RELU, [w] * 3, n, options, both)
    ]


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """How many times as fast as PyTorch the core is, by width and batch."""
    return pivot(
        [e for e in entries if e.whose is Whose.OURS],
        lambda e: {"width": e.case["width"]},
        lambda e: f"batch {e.case['batch']}",
        lambda e: f"{ratio(entries, e):.2f}",
    )


SECTION = Section(
    "growth", "How the cost grows with width and batch", 1, measure, table, charts.heat_map
)
