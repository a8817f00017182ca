"""Who trains the report's networks: every way that a user would think of, by PyTorch and without.

Each is made for a network and a batched data set, with the parameters that the seed gives, and then
trains as many epochs as it is told, returning the losses of all steps.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias

import exported
import numpy as np
import peers
import torch
from as_printed import as_printed
from experiment import (
    LEARNING_RATE,
    POINTS,
    Batches,
    Points,
    Step,
    functional,
    functional_model,
    functional_step,
    pytorch,
    pytorch_model,
    stateful,
)
from inline import inline
from race import Turn
from torch import Tensor

import functional_dl as fdl

Train: TypeAlias = Callable[[int], Tensor]

COMPILED: dict[str, Any] = {
    "fullgraph": True,
    "dynamic": False,
    "options": {"cpp_wrapper": True, "cpp.use_decompose_tanh": True},
}
"""The recipe of `functional_dl.stacked`, with its option for tanh."""


class Way(NamedTuple):
    """A way to train, and whether its losses are to be PyTorch's in every bit."""

    make: Callable[[str, Batches], Train]
    exact: bool


def stepwise(
    step_for: Callable[[str], Step],
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Callable[[str, Batches], Train]:
    """One batch after the other."""

    def make(network: str, batches: Batches) -> Train:
        step = step_for(network)

        def train(epochs: int) -> Tensor:
            with context():
                pairs = [*zip(*batches, strict=True)] * epochs
                return torch.stack([step(*pair) for pair in pairs])

        return train

    return make


def traced_step(network: str) -> Step:
    """The functional core, written out."""
    model = functional_model(network)
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params, traced = model.init(), None

    def once(params: fdl.Params, inputs: Tensor, targets: Tensor) -> tuple[fdl.Params, Tensor]:
        loss, grads = loss_and_grads(params, inputs, targets)
        return fdl.sgd(params, grads, LEARNING_RATE, donate=True), loss

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal params, traced
        traced = traced or fdl.trace(once, params, inputs, targets)
        params, loss = traced(params, inputs, targets)
        return loss

    return step


def compiled_step(network: str) -> Step:
    """The functional core, compiled."""
    params = functional_model(network).init()
    compiled = torch.compile(functional_step(network), **COMPILED)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal params
        params, loss = compiled(params, LEARNING_RATE, (inputs, targets))
        return loss

    return step


def scanned(network: str, batches: Batches, at_once: bool) -> Train:
    """The functional core, an epoch or all of them in a compiled call."""
    params = functional_model(network).init()
    step = functional_step(network)

    def steps(params: fdl.Params, batches: Batches) -> tuple[fdl.Params, Tensor]:
        return fdl.scan(lambda p, batch: step(p, LEARNING_RATE, batch), params, batches)

    compiled = torch.compile(steps, **COMPILED)

    @cache
    def of(epochs: int) -> Batches:
        inputs, targets = batches
        return inputs.repeat(epochs, 1, 1), targets.repeat(epochs, 1, 1)

    def train(epochs: int) -> Tensor:
        nonlocal params
        times, calls = (epochs, 1) if at_once else (1, epochs)
        losses: list[Tensor] = []
        with torch.inference_mode():
            for _ in range(calls):
                params, more = compiled(params, of(times))
                losses.append(more)
            return torch.cat(losses)

    return train


def torch_func(network: str, batches: Batches) -> Train:
    """torch.func, an epoch in a compiled call."""
    params = {k: p.detach() for k, p in pytorch_model(network).named_parameters()}
    step = peers.func_step(network)

    def epoch(params: Any, batches: Batches) -> tuple[Any, Tensor]:
        losses: list[Tensor] = []
        for batch in zip(*batches, strict=True):
            params, loss = step(params, LEARNING_RATE, batch)
            losses.append(loss)
        return params, torch.stack(losses)

    compiled = torch.compile(epoch, fullgraph=True)

    def train(epochs: int) -> Tensor:
        nonlocal params
        losses: list[Tensor] = []
        with torch.no_grad():
            for _ in range(epochs):
                params, more = compiled(params, batches)
                losses.append(more)
            return torch.cat(losses)

    return train


def jax_scan(network: str, batches: Batches, at_once: bool) -> Train:
    """JAX, an epoch or all of them in a compiled call."""
    import jax

    params: Any = [p.numpy() for p in functional(network).parameters()]
    data = tuple(b.numpy() for b in batches)
    step = peers.jax_step(network)

    def epoch(params: Any, data: Any) -> Any:
        return jax.lax.scan(lambda p, batch: step(p, LEARNING_RATE, batch), params, data)

    @partial(jax.jit, static_argnums=2)
    def steps(params: Any, data: Any, epochs: int) -> Any:
        return jax.lax.scan(lambda p, _: epoch(p, data), params, length=epochs)

    def train(epochs: int) -> Tensor:
        nonlocal params
        times, calls = (epochs, 1) if at_once else (1, epochs)
        losses: list[Any] = []
        for _ in range(calls):
            params, more = steps(params, data, times)
            losses.append(more)
        return torch.from_numpy(np.concatenate(losses).reshape(-1))

    return train


def numpy_step(network: str) -> Step:
    """NumPy by hand."""
    return peers.numpy_step(network, functional(network).parameters())


WAYS = {
    "PyTorch": Way(stepwise(lambda n: pytorch(n).step), True),
    "PyTorch, foreach": Way(stepwise(lambda n: pytorch(n, foreach=True).step), False),
    "PyTorch, fused": Way(stepwise(lambda n: pytorch(n, fused=True).step), False),
    "PyTorch, torch.compile(model)": Way(stepwise(lambda n: pytorch(n, compiled=True).step), False),
    "torch.func, compiled epoch": Way(torch_func, False),
    "NumPy by hand": Way(stepwise(numpy_step), False),
    "JAX, epoch": Way(partial(jax_scan, at_once=False), False),
    "JAX, all epochs": Way(partial(jax_scan, at_once=True), False),
    "the equations as printed": Way(stepwise(as_printed), False),
    "compat": Way(stepwise(lambda n: stateful(n).step), True),
    "compat, inference_mode": Way(stepwise(lambda n: stateful(n).step, torch.inference_mode), True),
    "core": Way(stepwise(lambda n: functional(n).step), True),
    "core, no_grad": Way(stepwise(lambda n: functional(n).step, torch.no_grad), True),
    "core, inference_mode": Way(stepwise(lambda n: functional(n).step, torch.inference_mode), True),
    "core, traced": Way(stepwise(traced_step, torch.inference_mode), True),
    "its tensor operations typed inline": Way(stepwise(inline, torch.inference_mode), True),
    "core, compiled step": Way(stepwise(compiled_step, torch.inference_mode), False),
    "core, compiled epoch": Way(partial(scanned, at_once=False), False),
    "core, all epochs compiled": Way(partial(scanned, at_once=True), False),
    "exported step, ONNX Runtime": Way(exported.stepwise, False),
    "exported loop, an epoch": Way(partial(exported.looped, at_once=False), False),
    "exported loop, all epochs": Way(partial(exported.looped, at_once=True), False),
}


def report_batches() -> Batches:
    """The report's training data."""
    torch.manual_seed(0)
    inputs, targets = zip(*Points.draw(POINTS).batches(), strict=True)
    return torch.stack(inputs), torch.stack(targets)


def begin(way: Way, network: str, epochs: int) -> Turn:
    """The way for the report's data, so many epochs at a time, from the parameters of seed 0."""
    batches = report_batches()
    torch.manual_seed(0)
    return partial(way.make(network, batches), epochs)
