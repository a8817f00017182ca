"""The cases of `tests/cases.py` and the GPTs of `tests/written_out.py`.

What the tests hold on to is what the tables count.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from cases import (
    ALL,
    BITS,
    CASES,
    TIERS,
    CrossEntropy,
    Triples,
    distances,
    laid_out_alike,
    same_bits,
)
from written_out import QUICK, WRITTEN_OUT, Sizes, draw, modules, train_ours, train_theirs

__all__ = [
    "ALL",
    "BITS",
    "CASES",
    "QUICK",
    "TIERS",
    "WRITTEN_OUT",
    "CrossEntropy",
    "Sizes",
    "Triples",
    "distances",
    "draw",
    "laid_out_alike",
    "modules",
    "same_bits",
    "train_ours",
    "train_theirs",
]
