"""Steps of training that tell all they compute: what the page that trains runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx.utils import Extractor
from torch import Tensor

import functional_dl as fdl
from functional_dl.export import to_onnx
from report.experiment import LEARNING_RATE, Points, alternate

ACTIVATIONS: dict[str, Callable[[], fdl.Layer]] = {
    f.__name__: f for f in (fdl.relu, fdl.tanh, fdl.sigmoid, fdl.leaky_relu, fdl.gelu)
}
WIDTHS = (3, 5, 7, 11)
"""Of hidden layers, in an example; no two are alike, so that each stands for any of its layer."""


def network(activation: str, hidden: Sequence[int]) -> fdl.Layer:
    """From x₁ and x₂ through hidden layers of so many units to outside and inside."""
    return fdl.sequential(*alternate(fdl.linear, ACTIVATIONS[activation], (2, *hidden, 2)))


def taken_apart(model: fdl.Layer) -> Callable[..., Any]:
    """(params, inputs, targets, lr) ↦ (new params, loss, all that comes between).

    That is the gradients of the loss with respect to params, what each layer gives, and the
    cotangents of these, under the layers' keys.
    """
    layers: dict[str, fdl.Layer] = model.layers
    first, *_ = layers

    def step(
        params: fdl.Params, inputs: Tensor, targets: Tensor, lr: Any
    ) -> tuple[fdl.Params, Tensor, fdl.Params]:
        values: dict[str, Tensor] = {}
        cotangents: dict[str, Tensor] = {}
        pullbacks: dict[str, fdl.Pullback] = {}
        gradients: fdl.Params = dict.fromkeys(layers)
        y: Any = inputs
        for k, f in layers.items():
            y, pullbacks[k] = f.vjp(params[k], y)
            values[k] = y
        loss, pullback_of_loss = fdl.mse().vjp(y, targets)
        gy: Any = pullback_of_loss()
        for k in reversed(layers):
            cotangents[k] = gy
            gradients[k], gy = pullbacks[k](gy, wrt_input=k != first)
        told = {"gradients": gradients, "values": values, "cotangents": cotangents}
        return fdl.sgd(params, gradients, lr), loss, told

    return step


def write(activation: str, depth: int, folder: Path) -> None:
    """Two files for all networks of so many hidden layers: a step, and its way forward alone.

    The second gives the units' values and the loss.
    """
    hidden = WIDTHS[:depth]
    model = network(activation, hidden)
    file = folder / f"{activation}-{depth}-step.onnx"
    to_onnx(taken_apart(model), (model.init(), *Points.draw(2), LEARNING_RATE), file)
    step = onnx.load(file)
    for value in (*step.graph.input, *step.graph.output):
        for d in value.type.tensor_type.shape.dim:
            if d.dim_value in hidden:
                d.dim_param = f"units_{hidden.index(d.dim_value) + 1}"
    onnx.save(step, file)
    takes = [value.name for value in step.graph.input if value.name != "lr"]
    *_, last = model.layers
    units = [f"values.{k}" for k in model.layers if int(k) % 2 or k == last]
    forward = Extractor(step).extract_model(takes, [*units, "loss"])
    onnx.save(forward, folder / f"{activation}-{depth}-forward.onnx")
