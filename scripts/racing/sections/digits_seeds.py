"""Many of the digits' MLP, each from a seed of its own, trained with Adam as one."""

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

import functional_dl as fdl
from classifier.networks import MLP
from racing import charts
from racing.adam_peers import func_carry, func_step, jax_step
from racing.by_adam import Make, Step, by_epochs, compiled, core_step, eager, jax_by_epochs
from racing.digits_contestants import ADAM, STEPS, one_epoch, pytorch
from racing.jax_digits import jax_loss
from racing.race import Entry, Turn, contest, rows
from racing.section import Section
from racing.sections.seeds import seeded
from report.contestant import Contestant, Whose

SEEDS = 64


def one_by_one() -> Turn:
    """PyTorch, a network after the other."""
    data = one_epoch(MLP)
    turns = [seeded(lambda: pytorch(MLP, data), seed) for seed in range(SEEDS)]
    return lambda: torch.stack([turn() for turn in turns], 1)


def side_by_side(make: Make, step: Step, init: Callable[[], Any]) -> Turn:
    """A step on PyTorch's tensors, by torch.vmap."""
    steps = torch.vmap(step, in_dims=(0, None))
    return by_epochs(make, steps, stacked(init), one_epoch(MLP))


def core(make: Make) -> Turn:
    """The functional core."""
    model = MLP.core()

    def init() -> Any:
        params = model.init()
        return params, ADAM.init(params)

    return side_by_side(make, core_step(model, ADAM), init)


def torch_func(make: Make) -> Turn:
    """torch.func."""
    return side_by_side(make, func_step(MLP.torch(), nn.CrossEntropyLoss()), func_init)


def jax() -> Turn:
    """JAX, a scan of vmap."""
    from jax import vmap

    steps = vmap(jax_step(jax_loss(MLP)), in_axes=(0, None))
    return jax_by_epochs(steps, stacked(func_init), one_epoch(MLP))


def func_init() -> Any:
    """What torch.func and JAX begin with."""
    return func_carry(MLP.torch())


def stacked(init: Callable[[], Any]) -> Any:
    """What is carried, from each seed."""
    return fdl.stack([seeded(init, seed) for seed in range(SEEDS)])


PYTORCH = Contestant("PyTorch, one by one", Whose.PYTORCH, one_by_one)
JAX = Contestant("JAX, vmap, compiled epoch", Whose.PEER, jax, exact=False)
EAGER, COMPILED = (
    tuple(
        Contestant(
            name + how, whose, partial(begin, make), exact=False, context=torch.inference_mode
        )
        for name, whose, begin in (
            ("torch.func, vmap", Whose.PYTORCH, torch_func),
            ("core, vmap", Whose.OURS, core),
        )
    )
    for how, make in (("", eager), (", compiled epoch", compiled))
)


def measure(options: Namespace) -> list[Entry]:
    """The time is that of a step of one network."""
    contestants = [PYTORCH, JAX, *EAGER, *COMPILED]
    case = {"network": str(MLP), "seeds": SEEDS}
    return contest(case, contestants, STEPS * SEEDS, options.rounds or 9)


SECTION = Section(
    "digits-seeds",
    f"Digits, {SEEDS} seeds, for a step of each network",
    2,
    measure,
    rows,
    partial(charts.bars, label="times as fast as PyTorch, one by one"),
)
