"""What the page that trains says of each layer: its formulas, and the lines that are exported."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from report.experiment import LEARNING_RATE, NETWORKS, Points
from torch.compiler import is_exporting
from torch.utils._python_dispatch import TorchDispatchMode

import functional_dl as fdl
from exported.files import step_of
from functional_dl.export import export

EXPLAINED = (fdl.linear, fdl.relu, fdl.tanh, fdl.mse, fdl.sgd)
PACKAGE = Path(inspect.getfile(fdl)).parent


class Lines(TorchDispatchMode):
    """Notes which lines of some files compute something while torch.export looks on."""

    def __init__(self, files: set[str]) -> None:
        super().__init__()
        self.files = files
        self.seen: set[tuple[str, int]] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Notes the innermost such line, and computes."""
        frame: FrameType | None = inspect.currentframe()
        while frame and frame.f_code.co_filename not in self.files:
            frame = frame.f_back
        if frame and is_exporting():
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        return func(*args, **(kwargs or {}))


def explained() -> dict[str, Any]:
    """The formulas of each layer, from its docstring, and its lines that the exported steps run."""
    files = {inspect.getfile(f): f for f in EXPLAINED}
    lines = Lines(set(files))
    for network in NETWORKS:
        step = step_of(network)

        def noted(*args: Any, step: Callable[..., Any] = step) -> Any:
            with lines:
                return step(*args)

        export(noted, (network.core().init(), *Points.draw(2), LEARNING_RATE))
    return {
        f.__name__: {
            "file": Path(file).relative_to(PACKAGE.parent).as_posix(),
            "formulas": formulas(inspect.getdoc(f) or ""),
            "lines": [
                [n, Path(file).read_text().splitlines()[n - 1].strip()]
                for of, n in sorted(lines.seen)
                if of == file
            ],
        }
        for file, f in files.items()
    }


def formulas(doc: str) -> list[str]:
    """The first line of a docstring, and the block that follows the word Backward."""
    block = re.search(r"^Backward[^:]*:\n\n((?: {4}.+\n)+)", doc, re.MULTILINE)
    return [doc.splitlines()[0], *map(str.strip, block[1].splitlines() if block else ())]
