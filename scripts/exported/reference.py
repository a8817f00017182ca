"""What PyTorch comes to, for onnx_train to compare with.

PyTorch works in a process of its own: these functions import it where they run, and not before.
"""

from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Arrays: TypeAlias = dict[str, Any]
"""NumPy's arrays under their names in a file."""


class Reference(NamedTuple):
    """What a network begins with, and what PyTorch comes to from there."""

    network: str
    params: Arrays
    feeds: list[Arrays]
    points: dict[str, tuple[Any, Any]]
    """Inputs and targets, for training and for the test."""
    losses: Any
    nudged: Any
    """The losses where the first weight has been the next number up."""
    errors: dict[str, float]
    probes: list[tuple[Arrays, Arrays]]
    """Params along the way, and what a step with the first batch makes of them."""


def prepare(seed: int, epochs: int, folder: Path) -> list[Reference]:
    """Writes the files of each network, and trains it with PyTorch."""
    from exported import eager
    from report.experiment import NETWORKS

    return [eager.prepare(network, seed, epochs, folder) for network in NETWORKS]


def turn(network: str, steps: int) -> float:
    """Seconds in which PyTorch does so many steps of a network that is prepared."""
    from exported import eager

    return eager.turn(network, steps)
