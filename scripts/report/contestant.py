"""Who trains a network, and whose code that is."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Whose(StrEnum):
    """Whose code a contestant trains with; figures colour it by this."""

    OURS = "functional_dl"
    PYTORCH = "PyTorch"
    PEER = "others"


@dataclass(frozen=True)
class Contestant:
    """Somebody who trains a network.

    Attributes:
        name: As tables show it.
        whose: Whose code it is.
        begin: Makes a new network and what trains it; what it takes and returns is said by those
            who call it.
        exact: Whether the losses must be PyTorch's in every bit.
        context: What it trains in.
    """

    name: str
    whose: Whose
    begin: Callable[..., Any]
    exact: bool = True
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
