"""The report's experiment: its data, its two networks, and who trains them.

Points in the unit square are told apart by whether they lie within a disk, by a network
2 → 25 → 25 → 25 → 2 with ReLU or Tanh, trained with SGD on the mean squared error.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

import functional_dl as fdl
from functional_dl import compat

SIZES = (2, 25, 25, 25, 2)
LEARNING_RATE = 0.1
BATCH_SIZE = 100
POINTS = 1000
NETWORKS = ("ReLU", "Tanh")


class Points(NamedTuple):
    """Points in the unit square, N×2, and their one-hot classes, N×2."""

    inputs: Tensor
    targets: Tensor

    @classmethod
    def draw(cls, n: int) -> "Points":
        """Draws n points; class 1 lies within 1/√(2π) of the centre."""
        inputs = torch.rand(n, 2)
        inside = (inputs - 0.5).square().sum(1) < 1 / (2 * math.pi)
        return cls(inputs, torch.eye(2)[inside.long()])

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """Contiguous batches, in order."""
        return list(zip(self.inputs.split(BATCH_SIZE), self.targets.split(BATCH_SIZE), strict=True))


Step: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Trains on a batch, and returns the loss before it."""


Batches: TypeAlias = tuple[Tensor, Tensor]
"""Inputs and targets, each batches × samples × features."""


class Contestant(NamedTuple):
    """A network with its way of training it."""

    step: Step
    predict: Callable[[Tensor], Tensor]
    parameters: Callable[[], list[Tensor]]


def functional_model(network: str, sizes: Sequence[int] = SIZES) -> fdl.Layer:
    """The functional core's network."""
    activation = {"ReLU": fdl.relu, "Tanh": fdl.tanh}[network]
    return fdl.sequential(*alternate(fdl.linear, activation, sizes))


def functional(network: str, sizes: Sequence[int] = SIZES) -> Contestant:
    """The functional core."""
    model = functional_model(network, sizes)
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params = model.init()

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal params
        loss, grads = loss_and_grads(params, inputs, targets)
        params = fdl.sgd(params, grads, LEARNING_RATE, donate=True)
        return loss

    def parameters() -> list[Tensor]:
        return [p for layer in params.values() for p in layer.values()]

    return Contestant(step, lambda inputs: model.apply(params, inputs), parameters)


def functional_step(network: str) -> Callable[..., Any]:
    """(params, lr, batch) ↦ (new params, loss), by the functional core."""
    loss_and_grads = fdl.value_and_grad(functional_model(network), fdl.mse())

    def step(params: fdl.Params, lr: Any, batch: Batches) -> tuple[fdl.Params, Tensor]:
        loss, grads = loss_and_grads(params, *batch)
        return fdl.sgd(params, grads, lr), loss

    return step


def updating(network: str, sizes: Sequence[int] = SIZES, *, hold: bool = False) -> Step:
    """A step of the functional core, by value_and_update; hold keeps the old params through it."""
    model = functional_model(network, sizes)
    update = partial(fdl.sgd, lr=LEARNING_RATE, donate=True)
    loss_and_params = fdl.value_and_update(model, fdl.mse(), update)
    state = [model.init()]

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        _held = state[:] if hold else []
        loss, params = loss_and_params(state.pop(), inputs, targets)
        state.append(params)
        return loss

    return step


def stateful(network: str) -> Contestant:
    """The report's API, trained by its Algorithm 1."""
    model = compat.Sequential(*alternate(compat.Linear, getattr(compat, network)))
    criterion = compat.MSE()
    optimizer = compat.SGD(model.parameters(), model.grads(), LEARNING_RATE)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        output = model(inputs)
        loss = criterion(output, targets)
        model.backward(criterion.backward())
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return Contestant(step, model, model.parameters)


def pytorch_model(network: str, sizes: Sequence[int] = SIZES) -> nn.Sequential:
    """PyTorch's network."""
    return nn.Sequential(*alternate(nn.Linear, getattr(nn, network), sizes))


def pytorch(
    network: str,
    sizes: Sequence[int] = SIZES,
    compiled: bool = False,
    **optimizer_options: bool,
) -> Contestant:
    """PyTorch's own modules, autograd and optimizer."""
    model = pytorch_model(network, sizes)
    forward = torch.compile(model) if compiled else model
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, **optimizer_options)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        loss = criterion(forward(inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return Contestant(
        step,
        lambda inputs: model(inputs).detach(),
        lambda: [p.detach() for p in model.parameters()],
    )


CONTESTANTS = {"functional core": functional, "compat": stateful, "PyTorch": pytorch}


def alternate(
    linear: Callable[[int, int], object],
    activation: Callable[[], object],
    sizes: Sequence[int] = SIZES,
) -> list[Any]:
    """Linear layers from size to size, and activations between them."""
    layers = [linear(sizes[0], sizes[1])]
    for pair in pairwise(sizes[1:]):
        layers += [activation(), linear(*pair)]
    return layers


def train(contestant: Contestant, points: Points, epochs: int) -> Tensor:
    """The losses of all steps, epochs × batches, in order."""
    batches = points.batches()
    losses = [contestant.step(*batch) for _ in range(epochs) for batch in batches]
    return torch.stack(losses).view(epochs, len(batches))


def error_rate(contestant: Contestant, points: Points) -> float:
    """The share of points whose predicted class is wrong."""
    wrong = contestant.predict(points.inputs).argmax(1) != points.targets.argmax(1)
    return wrong.double().mean().item()
