"""The cases of `tests/cases.py`: what the tests hold on to is what the tables count."""

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

__all__ = [
    "ALL",
    "BITS",
    "CASES",
    "TIERS",
    "CrossEntropy",
    "Triples",
    "distances",
    "laid_out_alike",
    "same_bits",
]
