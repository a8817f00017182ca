"""Networks so big that the time goes into matrix products: nothing is to be lost there."""

from argparse import Namespace
from typing import Any

import cli
from racing import charts, sized
from racing.race import Entry, pivot, quartiles, ratio
from racing.section import Section
from report.experiment import NETWORKS

SIZES = ((256, 128), (256, 1024), (1024, 256), (2048, 1024))


def measure(options: Namespace) -> list[Entry]:
    """Each network 784 → w → w → w → 10, batch and number of threads is a case."""
    entries: list[Entry] = []
    for threads in range(1, 1 + options.threads):
        cli.use_threads(threads)
        for network in NETWORKS:
            for width, batch in SIZES:
                case = {
                    "network": str(network),
                    "width": width,
                    "batch": batch,
                    "threads": threads,
                }
                sizes = [784, width, width, width, 10]
                entries += sized.contest_of(case, network, sizes, batch, options)
    return entries


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """ms a step of each, and its time in relation to PyTorch's."""
    return pivot(
        entries,
        lambda e: {k: str(v) for k, v in e.case.items()},
        lambda e: f"{e.who}, ms (PyTorch = 1)",
        lambda e: f"{quartiles(e.values)[1] * 1e3:,.2f} ({1 / ratio(entries, e):.2f})",
    )


SECTION = Section(
    "big", "Big networks, 784 → width → width → width → 10", 2, measure, table, charts.bars
)
