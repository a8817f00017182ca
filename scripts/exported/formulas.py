"""What the page that trains says of each layer: its formulas, and the lines that are exported."""

import inspect
import re
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from torch.compiler import is_exporting
from torch.utils._python_dispatch import TorchDispatchMode

import functional_dl as fdl
from exported.files import step_of
from functional_dl import _numerics
from functional_dl.export import export
from report.experiment import LEARNING_RATE, NETWORKS, Points

COMPUTED_BY: dict[Callable[..., Any], tuple[Callable[..., Any], ...]] = {
    fdl.linear: (_numerics.affine, _numerics.affine_grads, _numerics.affine_input_grad),
    fdl.relu: (_numerics.where_positive,),
    fdl.tanh: (_numerics.times_one_minus_square,),
    fdl.mse: (inspect.unwrap(fdl.mse),),
    fdl.sgd: (_numerics.minus_multiple,),
}
"""What is explained, by its docstring and by lines of these functions, which are in one file."""

PACKAGE = Path(inspect.getfile(fdl)).parent

Line: TypeAlias = tuple[str, int]
"""A file, and the number of a line of it."""


class Lines(TorchDispatchMode):
    """Notes which of some lines compute something while torch.export looks on."""

    def __init__(self, lines: set[Line]) -> None:
        super().__init__()
        self.lines = lines
        self.seen: set[Line] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Notes the innermost such line, and computes."""
        frame: FrameType | None = inspect.currentframe()
        while frame and (frame.f_code.co_filename, frame.f_lineno) not in self.lines:
            frame = frame.f_back
        if frame and is_exporting():
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        return func(*args, **(kwargs or {}))


def lines_of(functions: Iterable[Callable[..., Any]]) -> set[Line]:
    """All lines of some functions."""
    found: set[Line] = set()
    for f in functions:
        lines, first = inspect.getsourcelines(f)
        found |= {(inspect.getfile(f), first + i) for i in range(len(lines))}
    return found


def explained() -> dict[str, Any]:
    """The formulas of each layer, from its docstring, and its lines that the exported steps run."""
    noted = Lines(lines_of(chain(*COMPUTED_BY.values())))
    for network in NETWORKS:
        step = step_of(network)

        def watched(*args: Any, step: Callable[..., Any] = step) -> Any:
            with noted:
                return step(*args)

        export(watched, (network.core().init(), *Points.draw(2), LEARNING_RATE))
    found: dict[str, Any] = {}
    for f, functions in COMPUTED_BY.items():
        file = Path(inspect.getfile(functions[0]))
        source = file.read_text().splitlines()
        found[f.__name__] = {
            "file": file.relative_to(PACKAGE.parent).as_posix(),
            "formulas": formulas(inspect.getdoc(f) or ""),
            "lines": [
                [n, source[n - 1].strip()] for _, n in sorted(noted.seen & lines_of(functions))
            ],
        }
    return found


def formulas(doc: str) -> list[str]:
    """The first line of a docstring, and the block that follows the word Backward."""
    block = re.search(r"^Backward[^:]*:\n\n((?: {4}.+\n)+)", doc, re.MULTILINE)
    return [doc.splitlines()[0], *map(str.strip, block[1].splitlines() if block else ())]
