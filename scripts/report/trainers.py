"""Who trains the report's networks: the functional core, compat and PyTorch."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

import functional_dl as fdl
from functional_dl import compat
from report.contestant import Contestant, Whose
from report.experiment import LEARNING_RATE, SIZES, Batches, Network, Points

Step: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Trains on a batch, and returns the loss before it."""


class Trainer(NamedTuple):
    """A network in training."""

    step: Step
    predict: Callable[[Tensor], Tensor]
    parameters: Callable[[], list[Tensor]]


def core(network: Network, sizes: Sequence[int] = SIZES, *, donate: bool = False) -> Trainer:
    """The functional core."""
    model = network.core(sizes)
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params = model.init()

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal params
        loss, grads = loss_and_grads(params, inputs, targets)
        params = fdl.sgd(params, grads, LEARNING_RATE, donate=donate)
        return loss

    return Trainer(
        step,
        lambda inputs: model.apply(params, inputs),
        lambda: [*fdl.to_state_dict(params).values()],
    )


def core_step(network: Network) -> Callable[..., Any]:
    """(params, lr, batch) ↦ (new params, loss), by the functional core."""
    loss_and_grads = fdl.value_and_grad(network.core(), fdl.mse())

    def step(params: fdl.Params, lr: Any, batch: Batches) -> tuple[fdl.Params, Tensor]:
        loss, grads = loss_and_grads(params, *batch)
        return fdl.sgd(params, grads, lr), loss

    return step


def updating(network: Network, sizes: Sequence[int] = SIZES, *, hold: bool = False) -> Step:
    """A step of the functional core, by value_and_update; hold keeps the old params through it."""
    model = network.core(sizes)
    update = partial(fdl.sgd, lr=LEARNING_RATE, donate=True)
    loss_and_params = fdl.value_and_update(model, fdl.mse(), update)
    state = [model.init()]

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        _held = state[:] if hold else []
        loss, params = loss_and_params(state.pop(), inputs, targets)
        state.append(params)
        return loss

    return step


def stateful(network: Network) -> Trainer:
    """The report's API, trained by its Algorithm 1."""
    model, criterion = network.compat(), compat.MSE()
    optimizer = compat.SGD(model.parameters(), model.grads(), LEARNING_RATE)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        output = model(inputs)
        loss = criterion(output, targets)
        model.backward(criterion.backward())
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return Trainer(step, model, model.parameters)


def pytorch(
    network: Network,
    sizes: Sequence[int] = SIZES,
    wrap: Callable[[nn.Module], Callable[[Tensor], Tensor]] = lambda model: model,
    **optimizer_options: bool,
) -> Trainer:
    """PyTorch's own modules, autograd and optimizer; wrap makes of the model what is called."""
    model = network.torch(sizes)
    forward = wrap(model)
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, **optimizer_options)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        loss = criterion(forward(inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return Trainer(
        step,
        lambda inputs: model(inputs).detach(),
        lambda: [p.detach() for p in model.parameters()],
    )


CORE = Contestant("functional core", Whose.OURS, core, context=torch.inference_mode)
COMPAT = Contestant("compat", Whose.OURS, stateful)
PYTORCH = Contestant("PyTorch", Whose.PYTORCH, pytorch)
CONTESTANTS = (CORE, COMPAT, PYTORCH)


def train(trainer: Trainer, points: Points, epochs: int) -> Tensor:
    """The losses of all steps, epochs × batches, in order."""
    batches = points.batches()
    losses = [trainer.step(*batch) for _ in range(epochs) for batch in batches]
    return torch.stack(losses).view(epochs, len(batches))


def error_rate(trainer: Trainer, points: Points) -> float:
    """The share of points whose predicted class is wrong."""
    wrong = trainer.predict(points.inputs).argmax(1) != points.targets.argmax(1)
    return wrong.double().mean().item()
