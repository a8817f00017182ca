"""Many networks, each from a seed of its own, trained as one: the time for each network's step."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import functional_dl as fdl
from racing import charts, peers, runtimes
from racing.contestants import COMPILED, report_batches
from racing.race import Entry, Turn, contest, pivot, quartiles, ratio
from racing.section import Section
from report.contestant import Contestant, Whose
from report.experiment import LEARNING_RATE, NETWORKS, Network
from report.trainers import core, core_step, pytorch

SEEDS = (1, 8, 64, 256)


def one_by_one(network: Network, seeds: int) -> Turn:
    """PyTorch, a network after the other."""
    steps = [seeded(lambda: pytorch(network).step, seed) for seed in range(seeds)]
    pairs = [*zip(*report_batches(), strict=True)]
    return lambda: torch.stack([torch.stack([step(*p) for p in pairs]) for step in steps], 1)


def side_by_side(
    network: Network, seeds: int, init: Callable[[], Any], step: Callable[..., Any], compiled: bool
) -> Turn:
    """A step on PyTorch's tensors, by torch.vmap, and an epoch of them by scan."""
    params = fdl.stack([seeded(init, seed) for seed in range(seeds)])
    rates = torch.full((seeds,), LEARNING_RATE)
    batches = report_batches()
    steps = torch.vmap(step, in_dims=(0, 0, None))

    def epoch(params: Any, batches: Any) -> tuple[Any, Tensor]:
        return fdl.scan(lambda p, batch: steps(p, rates, batch), params, batches)

    run = torch.compile(epoch, **COMPILED) if compiled else epoch

    def turn() -> Tensor:
        nonlocal params
        params, losses = run(params, batches)
        return losses

    return turn


def core_vmap(network: Network, seeds: int, compiled: bool) -> Turn:
    """The functional core."""
    model = network.core()
    return side_by_side(network, seeds, model.init, core_step(network), compiled)


def torch_func(network: Network, seeds: int, compiled: bool) -> Turn:
    """torch.func over PyTorch's modules."""

    def init() -> dict[str, Tensor]:
        return {k: p.detach() for k, p in network.torch().named_parameters()}

    return side_by_side(network, seeds, init, peers.func_step(network), compiled)


def jax_vmap(network: Network, seeds: int) -> Turn:
    """JAX, jit of a scan of vmap."""
    import jax

    trees = [seeded(lambda: core(network).parameters(), seed) for seed in range(seeds)]
    params: Any = [np.stack(leaves) for leaves in zip(*trees, strict=True)]
    rates = np.full(seeds, LEARNING_RATE, np.float32)
    data = tuple(b.numpy() for b in report_batches())
    steps = jax.vmap(peers.jax_step(network), in_axes=(0, 0, None))

    @jax.jit
    def epoch(params: Any, data: Any) -> Any:
        return jax.lax.scan(lambda p, batch: steps(p, rates, batch), params, data)

    def turn() -> Tensor:
        nonlocal params
        params, losses = epoch(params, data)
        return torch.from_numpy(np.array(losses))

    return turn


def exported_step(network: Network, seeds: int, run_by: Callable[..., Any]) -> Turn:
    """The functional core's step, by torch.vmap, as a single file."""
    params = fdl.stack([seeded(network.core().init, seed) for seed in range(seeds)])
    return runtimes.side_by_side(network, params, report_batches(), run_by)


def seeded(make: Callable[[], Any], seed: int) -> Any:
    """What make makes from the seed."""
    torch.manual_seed(seed)
    return make()


# They begin with a network and a number of seeds, and give a turn.
VMAP = Contestant(
    "core, vmap",
    Whose.OURS,
    partial(core_vmap, compiled=False),
    exact=False,
    context=torch.inference_mode,
)
FUNC = replace(
    VMAP,
    name="torch.func, vmap",
    whose=Whose.PYTORCH,
    begin=partial(torch_func, compiled=False),
)
CONTESTANTS = (
    Contestant("PyTorch, one by one", Whose.PYTORCH, one_by_one),
    FUNC,
    replace(FUNC, name="torch.func, vmap, compiled", begin=partial(torch_func, compiled=True)),
    Contestant("JAX, vmap", Whose.PEER, jax_vmap, exact=False),
    VMAP,
    replace(VMAP, name="core, vmap, compiled", begin=partial(core_vmap, compiled=True)),
)
EXPORTED = tuple(
    Contestant(name, Whose.OURS, partial(exported_step, run_by=run_by), exact=False)
    for name, run_by in (
        ("exported, ONNX Runtime", runtimes.in_onnx_runtime),
        ("exported, OpenVINO", runtimes.in_openvino),
    )
)


def measure(options: Namespace) -> list[Entry]:
    """Each network and number of seeds is a case; its time is that of a step of one network."""
    entries: list[Entry] = []
    for network in NETWORKS:
        for seeds in SEEDS:
            torch.compiler.reset()
            contestants = [
                replace(c, begin=partial(c.begin, network, seeds))
                for c in (*CONTESTANTS, *(EXPORTED if seeds == 64 else ()))
            ]
            case = {"network": str(network), "seeds": seeds}
            entries += contest(case, contestants, 10 * seeds, options.rounds or 9, checked=3)
    return entries


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """µs for a step of one network, and how many times as fast as PyTorch that is."""
    return pivot(
        entries,
        lambda e: {"network": e.case["network"], "trained by": e.who},
        lambda e: f"{e.case['seeds']} seeds, µs",
        lambda e: f"{quartiles(e.values)[1] * 1e6:,.1f} ({ratio(entries, e):.2f})",
    )


SECTION = Section(
    "seeds",
    "Many seeds, for a step of each network",
    2,
    measure,
    table,
    partial(charts.lines, along="seeds", by="network"),
)
