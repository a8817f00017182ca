"""Exported files, the functional core's step, and what they are fed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

import functional_dl as fdl
from exported.reference import Arrays
from functional_dl.export import to_onnx
from report.experiment import LEARNING_RATE, Network, Points
from report.trainers import core_step


def step_of(network: Network) -> Callable[..., Any]:
    """(params, inputs, targets, lr) ↦ (new params, loss), as `to_onnx` takes it."""
    step = core_step(network)
    return lambda params, inputs, targets, lr: step(params, lr, (inputs, targets))


def write(network: Network, file: Path, loop: Literal["steps"] | None = None) -> None:
    """The step, or the whole training."""
    example = (network.core().init(), *Points.draw(2), LEARNING_RATE)
    to_onnx(step_of(network), example, file, loop=loop)


def arrays(params: fdl.Params, **more: Any) -> Arrays:
    """The params and more, as the files name them."""
    named = {f"params.{k}": p.numpy() for k, p in fdl.to_state_dict(params).items()}
    return named | {k: np.asarray(v, np.float32) for k, v in more.items()}


def feeds(pairs: Iterable[tuple[Tensor, Tensor]], lr: Any) -> list[Arrays]:
    """What a step takes besides the params, for each pair of inputs and targets."""
    return [arrays({}, inputs=x, targets=t, lr=lr) for x, t in pairs]
