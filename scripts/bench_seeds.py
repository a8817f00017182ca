"""Many networks, each from a seed of its own, trained as one: the time for each network's step."""

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

import exported
import numpy as np
import peers
import torch
from contestants import COMPILED, report_batches
from experiment import (
    LEARNING_RATE,
    NETWORKS,
    functional,
    functional_model,
    functional_step,
    pytorch,
    pytorch_model,
)
from race import Contestant, Entry, Turn, contest, pivot, quartiles, ratio
from torch import Tensor

import functional_dl as fdl

THREADS = 2
SEEDS = (1, 8, 64, 256)


def one_by_one(network: str, seeds: int) -> Turn:
    """PyTorch, a network after the other."""
    steps = [seeded(lambda: pytorch(network).step, seed) for seed in range(seeds)]
    pairs = [*zip(*report_batches(), strict=True)]
    return lambda: torch.stack([torch.stack([step(*p) for p in pairs]) for step in steps], 1)


def side_by_side(
    network: str, seeds: int, init: Callable[[], Any], step: Callable[..., Any], compiled: bool
) -> Turn:
    """A step of PyTorch tensors, by torch.vmap, and an epoch of them by scan."""
    params = fdl.stack([seeded(init, seed) for seed in range(seeds)])
    rates = torch.full((seeds,), LEARNING_RATE)
    batches = report_batches()
    steps = torch.vmap(step, in_dims=(0, 0, None))

    def epoch(params: Any, batches: Any) -> tuple[Any, Tensor]:
        return fdl.scan(lambda p, batch: steps(p, rates, batch), params, batches)

    run = torch.compile(epoch, **COMPILED) if compiled else epoch

    def turn() -> Tensor:
        nonlocal params
        with torch.inference_mode():
            params, losses = run(params, batches)
        return losses

    return turn


def core(network: str, seeds: int, compiled: bool) -> Turn:
    """The functional core."""
    model = functional_model(network)
    return side_by_side(network, seeds, model.init, functional_step(network), compiled)


def torch_func(network: str, seeds: int, compiled: bool) -> Turn:
    """torch.func over PyTorch's modules."""

    def init() -> dict[str, Tensor]:
        return {k: p.detach() for k, p in pytorch_model(network).named_parameters()}

    return side_by_side(network, seeds, init, peers.func_step(network), compiled)


def jax_vmap(network: str, seeds: int) -> Turn:
    """JAX, jit of a scan of vmap."""
    import jax

    trees = [seeded(lambda: functional(network).parameters(), seed) for seed in range(seeds)]
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


def exported_step(network: str, seeds: int, openvino: bool) -> Turn:
    """The functional core's step, by torch.vmap, as a single file."""
    params = fdl.stack([seeded(functional_model(network).init, seed) for seed in range(seeds)])
    return exported.side_by_side(network, params, report_batches(), openvino)


def seeded(make: Callable[[], Any], seed: int) -> Any:
    """What make makes from the seed."""
    torch.manual_seed(seed)
    return make()


def measure(options: Namespace) -> list[Entry]:
    """Each network and number of seeds is a case; its time is that of a step of one network."""
    entries: list[Entry] = []
    for network in NETWORKS:
        for seeds in SEEDS:
            torch.compiler.reset()
            contestants = {
                "PyTorch, one by one": Contestant(partial(one_by_one, network, seeds)),
                "torch.func, vmap": Contestant(
                    partial(torch_func, network, seeds, compiled=False), exact=False
                ),
                "torch.func, vmap, compiled": Contestant(
                    partial(torch_func, network, seeds, compiled=True), exact=False
                ),
                "JAX, vmap": Contestant(partial(jax_vmap, network, seeds), exact=False),
                "core, vmap": Contestant(
                    partial(core, network, seeds, compiled=False), exact=False
                ),
                "core, vmap, compiled": Contestant(
                    partial(core, network, seeds, compiled=True), exact=False
                ),
            }
            if seeds == 64:
                contestants |= {
                    f"exported, {runtime}": Contestant(
                        partial(exported_step, network, seeds, runtime == "OpenVINO"), exact=False
                    )
                    for runtime in ("ONNX Runtime", "OpenVINO")
                }
            case = {"network": network, "seeds": seeds}
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
