"""How the time for a step grows with the width of a network, on one thread and on two."""

from argparse import Namespace

import big
import cli
from bench_growth import WIDTHS
from race import Entry

THREADS = (2,)
BATCH = 128


def measure(options: Namespace) -> list[Entry]:
    """Each width and number of threads is a case."""
    entries: list[Entry] = []
    for width in WIDTHS:
        for threads in range(1, 1 + options.threads):
            cli.use_threads(threads)
            case = {"width": width, "threads": threads}
            entries += big.contest_of(case, "ReLU", [width] * 3, BATCH, options)
    return entries
