"""What the tests of exported files share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from torch import Tensor

import functional_dl as fdl


def step_of(model: fdl.Layer) -> Callable[..., tuple[fdl.Params, Tensor]]:
    """(params, inputs, targets, lr) ↦ (new params, loss), as `to_onnx` takes it."""
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())

    def step(
        params: fdl.Params, inputs: Tensor, targets: Tensor, lr: float | Tensor
    ) -> tuple[fdl.Params, Tensor]:
        loss, grads = loss_and_grads(params, inputs, targets)
        return fdl.sgd(params, grads, lr), loss

    return step


def fed(params: fdl.Params, **more: Any) -> dict[str, np.ndarray]:
    """What the file takes."""
    named = {f"params.{k}": p.numpy() for k, p in fdl.to_state_dict(params).items()}
    return named | {k: np.asarray(v) for k, v in more.items()}


def session(path: Path) -> onnxruntime.InferenceSession:
    """The file, ready to run."""
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
