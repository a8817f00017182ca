"""The lines of the library that compute what an exported step tells."""

import inspect
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import functional_dl as fdl
from exported.taken_apart import ACTIVATIONS, network, taken_apart
from functional_dl import _numerics
from functional_dl.export import export
from functional_dl.optimizers._operations import minus_multiple
from report.experiment import LEARNING_RATE, Points

COMPUTED_BY: dict[Callable[..., Any], tuple[Callable[..., Any], ...]] = {
    fdl.linear: (_numerics.affine, _numerics.affine_grads, _numerics.affine_input_grad),
    fdl.relu: (_numerics.where_positive,),
    fdl.tanh: (_numerics.times_one_minus_square,),
    fdl.sigmoid: (_numerics.times_sigmoid_slope,),
    fdl.leaky_relu: (inspect.unwrap(fdl.leaky_relu), _numerics.times_factor),
    fdl.gelu: (inspect.unwrap(fdl.gelu),),
    fdl.mse: (inspect.unwrap(fdl.mse),),
    fdl.sgd: (minus_multiple,),
}
"""What is explained, by lines of these functions; what they don't compute, by its own last line."""

PACKAGE = Path(inspect.getfile(fdl)).parent

Line: TypeAlias = tuple[str, int]
"""A file, and the number of a line of it."""


class Lines(TorchDispatchMode):
    """Notes which of some lines has made which tensor."""

    def __init__(self, lines: set[Line]) -> None:
        super().__init__()
        self.lines = lines
        self.seen: set[Line] = set()
        self.made: dict[int, tuple[Tensor, Line]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Computes, and notes the innermost such line."""
        result = func(*args, **(kwargs or {}))
        frame: FrameType | None = inspect.currentframe()
        while frame and (frame.f_code.co_filename, frame.f_lineno) not in self.lines:
            frame = frame.f_back
        if frame and isinstance(result, Tensor):
            line = frame.f_code.co_filename, frame.f_lineno
            self.seen.add(line)
            self.made[id(result)] = result, line
        return result


def lines_of(functions: Iterable[Callable[..., Any]]) -> set[Line]:
    """All lines of some functions."""
    found: set[Line] = set()
    for f in functions:
        lines, first = inspect.getsourcelines(f)
        found |= {(inspect.getfile(f), first + i) for i in range(len(lines))}
    return found


def computing(activation: str) -> dict[str, dict[str, list[Line]]]:
    """By layer, the lines that compute its value and its gradients, in a network of this kind."""
    found: dict[str, dict[str, list[Line]]] = {}

    def watched(*args: Any) -> Any:
        with Lines(lines_of(chain(*COMPUTED_BY.values()))) as lines:
            results = new, loss, told = step(*args)
        values, cotangents, gradients = (told[k] for k in ("values", "cotangents", "gradients"))
        parts: dict[str, dict[str, Tensor]] = {
            "linear": {
                "value": values["0"],
                "weight": gradients["2"]["weight"],
                "bias": gradients["2"]["bias"],
                "input": cotangents["1"],
            },
            activation: {"value": values["1"], "input": cotangents["0"]},
            "mse": {"value": loss, "input": cotangents["2"]},
            "sgd": {"value": new["0"]["weight"]},
        }
        for name, tensors in parts.items():
            found[name] = leading_to(tensors, getattr(fdl, name), lines)
        return results

    model = network(activation, (3,))
    step = taken_apart(model)
    export(watched, (model.init(), *Points.draw(2), LEARNING_RATE))  # runs it last as exported
    return found


def leading_to(
    tensors: dict[str, Tensor], layer: Callable[..., Any], lines: Lines
) -> dict[str, list[Line]]:
    """For each tensor the line that has made it, after those of its function that come before."""
    made = {what: lines.made[id(t)][1] for what, t in tensors.items() if id(t) in lines.made}
    last = max(lines_of([inspect.unwrap(layer)]))
    found: dict[str, list[Line]] = {}
    for what in tensors:
        end = made.get(what, last)
        around = [lines_of([f]) for f in COMPUTED_BY[layer] if end in lines_of([f])]
        before = (
            {line for line in lines.seen.intersection(*around) if line < end} if around else set()
        )
        found[what] = [*sorted(before - {*made.values()}), end]
    return found


def lines() -> dict[str, list[dict[str, Any]]]:
    """By layer, each such line: what it computes, its file, its number and its text."""
    found: dict[str, dict[str, list[Line]]] = {}
    for activation in ACTIVATIONS:
        found |= computing(activation)
    return {
        name: [told(what, *line) for what, lines in by.items() for line in lines]
        for name, by in found.items()
    }


def told(what: str, file: str, number: int) -> dict[str, Any]:
    """A line, for JSON."""
    text = Path(file).read_text().splitlines()[number - 1].partition("  #")[0].strip()
    name = Path(file).relative_to(PACKAGE.parent).as_posix()
    return {"what": what, "file": name, "number": number, "text": text}
