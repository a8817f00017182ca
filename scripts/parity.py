"""The cases of `tests/cases.py`, which scripts prove the bits over."""

import sys
from pathlib import Path

import functional_dl

sys.path.append(str(Path(functional_dl.__file__).parents[1] / "tests"))
from cases import CASES, Triples, same_bits

__all__ = ["CASES", "Triples", "same_bits"]
