"""Trainings with Adam in bench, of any network: by each library, a step or an epoch at a time.

A turn trains on all batches, and returns the losses of all steps.
"""

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

import functional_dl as fdl
from classifier.trainers import RATE
from racing.adam_peers import as_arrays, func_carry, func_step
from racing.contestants import COMPILED
from racing.race import Turn

Batches: TypeAlias = tuple[Tensor, Tensor]
"""Inputs and targets, of all batches, stacked."""

Step: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]
"""(carry, batch) ↦ (new carry, loss); what is carried is params and Adam's state."""

Make: TypeAlias = Callable[..., Step]
"""Makes of a step, and of what it is first called with, what is called."""


def pytorch(
    model: nn.Module,
    criterion: nn.Module,
    data: Batches,
    wrap: Callable[[nn.Module], Callable[[Tensor], Tensor]] = lambda model: model,
    adam: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    **options: Any,
) -> Turn:
    """PyTorch's own; wrap makes of the model what is called."""
    forward = wrap(model.eval())
    optimizer = adam(model.parameters(), RATE, **options)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        loss = criterion(forward(inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return all_of(data, step)


def all_of(data: Batches, step: Callable[[Tensor, Tensor], Tensor]) -> Turn:
    """One batch after the other."""
    pairs = [*zip(*data, strict=True)]
    return lambda: torch.stack([step(*pair) for pair in pairs])


def eager(step: Step, *_: Any) -> Step:
    """The step itself."""
    return step


def compiled(step: Step, *_: Any, **more: Any) -> Step:
    """By the recipe of `functional_dl.stacked`, and more options of Inductor.

    The step gets code of its own: torch keeps what it compiles by code, and a contestant would have
    to look through what is compiled for others each time.
    """
    if isinstance(step, FunctionType):
        code = step.__code__.replace()
        step = FunctionType(
            code, step.__globals__, step.__name__, step.__defaults__, step.__closure__
        )
    return torch.compile(step, **COMPILED | {"options": COMPILED["options"] | more})


def by_steps(make: Make, step: Step, carry: Any, data: Batches) -> Turn:
    """One batch after the other."""
    call = make(step, carry, tuple(leaf[0] for leaf in data))

    def next_step(*batch: Tensor) -> Tensor:
        nonlocal carry
        carry, loss = call(carry, batch)
        return loss

    return all_of(data, next_step)


def by_epochs(make: Make, step: Step, carry: Any, data: Batches) -> Turn:
    """All batches in a call."""
    call = make(partial(fdl.scan, step), carry, data)

    def turn() -> Tensor:
        nonlocal carry
        carry, losses = call(carry, data)
        return losses

    return turn


def core_step(model: fdl.Layer, optimizer: fdl.Optimizer, donate: bool = False) -> Step:
    """A step by the functional core."""
    loss_and_grads = fdl.value_and_grad(model, fdl.cross_entropy())

    def step(carry: Any, batch: Any) -> tuple[Any, Tensor]:
        params, state = carry
        loss, grads = loss_and_grads(params, *batch)
        return optimizer.update(params, grads, state, RATE, donate=donate), loss

    return step


def core(
    model: fdl.Layer,
    optimizer: fdl.Optimizer,
    data: Batches,
    make: Make = eager,
    by: Callable[..., Turn] = by_steps,
) -> Turn:
    """The functional core, from the first params that torch's seed gives."""
    with torch.inference_mode():  # what is made in it can be donated in it
        params = model.init()
        carry = params, optimizer.init(params)
        data = fdl.tree_map(torch.clone, data)
        return by(make, core_step(model, optimizer, donate=True), carry, data)


def updating(model: fdl.Layer, optimizer: fdl.Optimizer, data: Batches) -> Turn:
    """The functional core, which hands its params over and never holds all gradients at once."""
    f = fdl.value_and_update(model, fdl.cross_entropy(), optimizer)
    with torch.inference_mode():
        params = model.init()
        held = [optimizer.init(params), params]

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        loss, params, state = f(held.pop(), inputs, targets, held.pop(), RATE, donate=True)
        held.extend((state, params))
        return loss

    del params
    return all_of(data, step)


def torch_func(
    model: nn.Module,
    criterion: nn.Module,
    data: Batches,
    decay: float = 0.0,
    make: Make = compiled,
) -> Turn:
    """torch.func over PyTorch's modules."""
    return by_steps(make, func_step(model, criterion, decay), func_carry(model), data)


def jax_by_steps(step: Step, carry: Any, data: Batches) -> Turn:
    """JAX, a step in a compiled call."""
    import jax

    call, carry = jax.jit(step), as_arrays(carry)
    pairs = [*zip(*as_arrays(data), strict=True)]

    def turn() -> Tensor:
        nonlocal carry
        losses: list[Any] = []
        for batch in pairs:
            carry, loss = call(carry, batch)
            losses.append(loss)
        return torch.from_numpy(np.stack(losses))

    return turn


def jax_by_epochs(step: Step, carry: Any, data: Batches) -> Turn:
    """JAX, an epoch in a compiled call."""
    import jax

    call = jax.jit(partial(jax.lax.scan, step))
    carry, data = as_arrays((carry, data))

    def turn() -> Tensor:
        nonlocal carry
        carry, losses = call(carry, data)
        return torch.from_numpy(np.array(losses))

    return turn
