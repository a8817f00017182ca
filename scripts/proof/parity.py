"""The cases of `tests/cases.py`: what the tests hold on to is what the tables count."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from cases import BITS, CASES, LAYERS, LOSSES, Triples, laid_out_alike, same_bits

__all__ = ["BITS", "CASES", "LAYERS", "TIERS", "Triples", "laid_out_alike", "same_bits"]

TIERS = {name: case.tier for name, case in {**LAYERS, **LOSSES}.items()}
