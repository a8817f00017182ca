"""Who trains the report's networks in bench: every way that a user would think of.

A contestant begins with a network and batches, with the parameters that torch's seed gives. It then
trains as many epochs as it is told, and returns the losses of all steps.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

import functional_dl as fdl
from racing import peers, runtimes
from racing.inline import inline
from racing.race import Turn
from report.as_printed import as_printed
from report.contestant import Contestant, Whose
from report.experiment import LEARNING_RATE, POINTS, Batches, Network, Points
from report.trainers import Step, Trainer, core, core_step, pytorch, stateful

Train: TypeAlias = Callable[[int], Tensor]
"""Trains so many epochs, and returns the losses of all steps."""

COMPILED: dict[str, Any] = {
    "fullgraph": True,
    "dynamic": False,
    "options": {
        "cpp_wrapper": True,
        "cpp.use_decompose_tanh": True,
        "guard_filter_fn": torch.compiler.skip_guard_on_globals_unsafe,
    },
}
"""The recipe of `functional_dl.stacked`, with its option for tanh.

No global name is checked in each call, since here none ever stands for anything else.
"""


def stepwise(step_of: Callable[[Network], Step]) -> Callable[[Network, Batches], Train]:
    """One batch after the other."""

    def begin(network: Network, batches: Batches) -> Train:
        step = step_of(network)

        def train(epochs: int) -> Tensor:
            pairs = [*zip(*batches, strict=True)] * epochs
            return torch.stack([step(*pair) for pair in pairs])

        return train

    return begin


def by(trainer: Callable[..., Trainer], **options: Any) -> Callable[[Network, Batches], Train]:
    """One batch after the other, by a trainer's step."""
    return stepwise(lambda network: trainer(network, **options).step)


def traced_step(network: Network) -> Step:
    """The functional core, written out."""
    params, traced = network.core().init(), None
    by_rate = core_step(network)

    def once(params: fdl.Params, *batch: Tensor) -> tuple[fdl.Params, Tensor]:
        return by_rate(params, LEARNING_RATE, batch)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal params, traced
        traced = traced or fdl.trace(once, params, inputs, targets)
        params, loss = traced(params, inputs, targets)
        return loss

    return step


def compiled_step(network: Network) -> Step:
    """The functional core, compiled."""
    params = network.core().init()
    compiled = torch.compile(core_step(network), **COMPILED)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal params
        params, loss = compiled(params, LEARNING_RATE, (inputs, targets))
        return loss

    return step


def scanned(network: Network, batches: Batches, at_once: bool) -> Train:
    """The functional core, an epoch or all of them in a compiled call."""
    params = network.core().init()
    step = core_step(network)

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
        for _ in range(calls):
            params, more = compiled(params, of(times))
            losses.append(more)
        return torch.cat(losses)

    return train


def torch_func(network: Network, batches: Batches) -> Train:
    """torch.func, an epoch in a compiled call."""
    params = {k: p.detach() for k, p in network.torch().named_parameters()}
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
        for _ in range(epochs):
            params, more = compiled(params, batches)
            losses.append(more)
        return torch.cat(losses)

    return train


def jax_scan(network: Network, batches: Batches, at_once: bool) -> Train:
    """JAX, an epoch or all of them in a compiled call."""
    import jax

    params: Any = [p.numpy() for p in core(network).parameters()]
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


def numpy_step(network: Network) -> Step:
    """NumPy by hand."""
    return peers.numpy_step(network, core(network).parameters())


COMPILED_MODEL = Contestant(
    "PyTorch, torch.compile(model)", Whose.PYTORCH, by(pytorch, wrap=torch.compile), exact=False
)
TORCH_FUNC = Contestant(
    "torch.func, compiled epoch", Whose.PYTORCH, torch_func, exact=False, context=torch.no_grad
)
JAX_EPOCH, JAX_ALL = (
    Contestant(f"JAX, {what}", Whose.PEER, partial(jax_scan, at_once=at_once), exact=False)
    for what, at_once in (("epoch", False), ("all epochs", True))
)
CORE_COMPILED_STEP, CORE_COMPILED_EPOCH, CORE_COMPILED_ALL = (
    Contestant(name, Whose.OURS, begin, exact=False, context=torch.inference_mode)
    for name, begin in (
        ("core, compiled step", stepwise(compiled_step)),
        ("core, compiled epoch", partial(scanned, at_once=False)),
        ("core, all epochs compiled", partial(scanned, at_once=True)),
    )
)
PYTORCH = Contestant("PyTorch", Whose.PYTORCH, by(pytorch))
NUMPY = Contestant("NumPy by hand", Whose.PEER, stepwise(numpy_step), exact=False)
COMPAT = Contestant("compat", Whose.OURS, by(stateful))
CORE = Contestant("core", Whose.OURS, by(core))
CORE_INFERENCE = replace(CORE, name="core, inference_mode", context=torch.inference_mode)
CONTESTANTS = (
    PYTORCH,
    Contestant("PyTorch, foreach", Whose.PYTORCH, by(pytorch, foreach=True), exact=False),
    Contestant("PyTorch, fused", Whose.PYTORCH, by(pytorch, fused=True), exact=False),
    COMPILED_MODEL,
    TORCH_FUNC,
    NUMPY,
    JAX_EPOCH,
    JAX_ALL,
    Contestant("the equations as printed", Whose.PEER, stepwise(as_printed), exact=False),
    COMPAT,
    replace(COMPAT, name="compat, inference_mode", context=torch.inference_mode),
    CORE,
    replace(CORE, name="core, no_grad", context=torch.no_grad),
    CORE_INFERENCE,
    Contestant("core, traced", Whose.OURS, stepwise(traced_step), context=torch.inference_mode),
    Contestant(
        "its tensor operations typed inline",
        Whose.OURS,
        stepwise(inline),
        context=torch.inference_mode,
    ),
    CORE_COMPILED_STEP,
    CORE_COMPILED_EPOCH,
    CORE_COMPILED_ALL,
    Contestant("exported step, ONNX Runtime", Whose.OURS, runtimes.stepwise, exact=False),
    Contestant(
        "exported loop, an epoch",
        Whose.OURS,
        partial(runtimes.looped, at_once=False),
        exact=False,
    ),
    Contestant(
        "exported loop, all epochs", Whose.OURS, partial(runtimes.looped, at_once=True), exact=False
    ),
)


def report_batches() -> Batches:
    """The report's training data."""
    torch.manual_seed(0)
    inputs, targets = zip(*Points.draw(POINTS).batches(), strict=True)
    return torch.stack(inputs), torch.stack(targets)


def on_report(contestant: Contestant, network: Network, epochs: int) -> Contestant:
    """The contestant on the report's data, from the parameters of seed 0, so many epochs a turn."""

    def begin() -> Turn:
        batches = report_batches()
        torch.manual_seed(0)
        return partial(contestant.begin(network, batches), epochs)

    return replace(contestant, begin=begin)
