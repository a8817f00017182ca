"""How the time for a step grows with the network and the batch, in relation to PyTorch's."""

from argparse import Namespace
from itertools import product
from typing import Any

import big
from race import Entry, pivot, ratio

THREADS = 1
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)


def measure(options: Namespace) -> list[Entry]:
    """Each width and batch is a case, of two linear layers with ReLU in between."""
    cases = [{"width": w, "batch": n} for w, n in product(WIDTHS, BATCHES)]
    return [
        entry
        for case in cases
        for entry in big.contest_of(case, "ReLU", [case["width"]] * 3, case["batch"], options)
    ]


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """How many times as fast as PyTorch the core is, by width and batch."""
    return pivot(
        [e for e in entries if e.who == "core"],
        lambda e: {"width": e.case["width"]},
        lambda e: f"batch {e.case['batch']}",
        lambda e: f"{ratio(entries, e):.2f}",
    )
