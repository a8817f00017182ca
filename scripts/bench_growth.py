"""How the time for a step grows with the network and the batch, in relation to PyTorch's."""

from argparse import Namespace
from itertools import product

import big
from race import Entry

THREADS = (1,)
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
