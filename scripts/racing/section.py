"""What a section of bench is."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from racing.race import Entry


@dataclass(frozen=True)
class Section:
    """A subject of bench, from its measurements to its figure.

    Attributes:
        name: As the command line has it.
        title: Of its table.
        threads: That it uses, if the command line says nothing else.
        measure: Takes the options.
        table: The rows that entries make.
        draw: The figure of the entries that have values.
    """

    name: str
    title: str
    threads: int
    measure: Callable[[Namespace], list[Entry]]
    table: Callable[[list[Entry]], list[dict[str, Any]]]
    draw: Callable[[list[Entry]], Figure]
