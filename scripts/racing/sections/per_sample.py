"""The gradients of each sample by itself, of the digits' two networks."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import functional_dl as fdl
from classifier.networks import CNN, MLP, Network
from racing import charts
from racing.adam_peers import as_arrays, func_carry, func_loss
from racing.contestants import COMPILED
from racing.digits_contestants import STEPS, one_epoch
from racing.jax_digits import jax_loss
from racing.race import Entry, Turn, contest, rows
from racing.section import Section
from report.contestant import Contestant, Whose

Grads = Callable[[Any, Any], Any]
"""(params, batch) ↦ gradients, with a first axis of samples."""


def turns(grads_of: Grads, params: Any, batches: list[Any]) -> Turn:
    """Those of each batch; the norms of the last tell whether they are right."""

    def turn() -> Tensor:
        *_, grads = [grads_of(params, batch) for batch in batches]
        leaves = [torch.from_dlpack(g).flatten(1) for g in fdl.tree_leaves(grads)]
        return torch.cat(leaves, 1).norm(dim=1)

    return turn


def alone(network: Network) -> list[tuple[Tensor, Tensor]]:
    """Batches whose samples are batches of one."""
    images, labels = one_epoch(network)
    return [*zip(images.unsqueeze(2), labels.unsqueeze(2), strict=True)]


def of_each(grads: Grads, compiled: bool) -> Grads:
    """Of a batch of one, those of many."""
    grads = torch.vmap(grads, in_dims=(None, 0))
    return torch.compile(grads, **COMPILED) if compiled else grads


def torch_func(network: Network, compiled: bool) -> Turn:
    """torch.func over PyTorch's modules."""
    params, *_ = func_carry(model := network.torch())
    grads = torch.func.grad(func_loss(model, nn.CrossEntropyLoss()))
    return turns(of_each(grads, compiled), params, alone(network))


def core(network: Network, compiled: bool) -> Turn:
    """The functional core."""
    model = network.core()
    loss_and_grads = fdl.value_and_grad(model, fdl.cross_entropy())

    def grads(params: fdl.Params, batch: tuple[Tensor, Tensor]) -> fdl.Params:
        return loss_and_grads(params, *batch)[1]

    return turns(of_each(grads, compiled), model.init(), alone(network))


def jax(network: Network) -> Turn:
    """JAX."""
    from jax import block_until_ready, grad, jit, vmap

    params, *_ = as_arrays(func_carry(network.torch()))
    grads = jit(vmap(grad(jax_loss(network)), in_axes=(None, 0)))
    batches = as_arrays(alone(network))
    return turns(lambda *args: block_until_ready(grads(*args)), params, batches)


FUNC = Contestant(
    "torch.func, vmap", Whose.PYTORCH, partial(torch_func, compiled=False), context=torch.no_grad
)
CORE = Contestant(
    "core, vmap",
    Whose.OURS,
    partial(core, compiled=False),
    exact=False,
    context=torch.inference_mode,
)
JAX = Contestant("JAX, vmap, compiled", Whose.PEER, jax, exact=False)
COMPILING = tuple(
    replace(c, name=f"{c.name}, compiled", begin=partial(c.begin, compiled=True), exact=False)
    for c in (FUNC, CORE)
)


def on_digits(contestant: Contestant, network: Network) -> Contestant:
    """The contestant with the parameters of seed 0."""

    def begin() -> Turn:
        torch.manual_seed(0)
        return contestant.begin(network)

    return replace(contestant, begin=begin)


def measure(options: Namespace) -> list[Entry]:
    """Each network is a case."""
    entries: list[Entry] = []
    for network in (MLP, CNN):
        contestants = [on_digits(c, network) for c in (FUNC, CORE, JAX, *COMPILING)]
        case = {"network": str(network)}
        entries += contest(case, contestants, STEPS, options.rounds or 30)
    return entries


SECTION = Section(
    "per-sample",
    "Gradients of each of 64 samples",
    1,
    measure,
    rows,
    partial(charts.bars, label="times as fast as torch.func, eager"),
)
