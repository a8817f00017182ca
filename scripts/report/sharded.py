"""The report's networks on sharded batches, beside PyTorch's DistributedDataParallel.

What is here runs on each rank.
"""

import statistics
import time
from argparse import Namespace
from functools import partial

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

import functional_dl as fdl
from functional_dl.distributed import average
from report.experiment import BATCH_SIZE, LEARNING_RATE, POINTS, Network, Points
from report.trainers import Trainer, pytorch

STEPS_A_TURN = 100


def core(network: Network, device: torch.device) -> Trainer:
    """The functional core, on a rank's part of each batch."""
    model = network.core()
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params = on(device, model.init())

    @torch.inference_mode()
    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal params
        loss, grads = loss_and_grads(params, inputs, targets)
        params = fdl.sgd(params, average(grads), LEARNING_RATE)
        return loss

    return Trainer(
        step,
        lambda inputs: model.apply(params, inputs),
        lambda: [*fdl.to_state_dict(params).values()],
    )


def on(device: torch.device, params: fdl.Params) -> fdl.Params:
    """The params, moved."""
    return {k: {name: p.to(device) for name, p in layer.items()} for k, layer in params.items()}


def wrapped(device: torch.device, model: nn.Module) -> nn.Module:
    """PyTorch's model, moved, so that its gradients are averaged."""
    return DistributedDataParallel(model.to(device))


def compare(network: Network, options: Namespace, device: torch.device) -> dict[str, str]:
    """Both trained on the same shards; then timed, in turns."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(options.seed)
    size = BATCH_SIZE // ranks
    shards = [
        tuple(part.split(size)[rank].to(device) for part in batch)
        for batch in Points.draw(POINTS).batches()
    ]
    torch.manual_seed(options.seed)
    ours = core(network, device)
    torch.manual_seed(options.seed)
    theirs = pytorch(network, wrap=partial(wrapped, device))
    trainers = (ours, theirs)
    differences: dict[str, str] = {}
    steps = options.epochs * len(shards)
    for i in tqdm(range(steps), str(network), unit="step", disable=rank > 0, leave=False):
        for trainer in trainers:
            trainer.step(*shards[i % len(shards)])
        if i in (0, steps - 1):
            a, b = (torch.cat([p.flatten() for p in t.parameters()]) for t in trainers)
            differ = (a.view(torch.int32) != b.view(torch.int32)).sum().item()
            off = (a - b).abs().max().item()
            key = f"parameters that differ after {i + 1:,} steps"
            differences[key] = f"{differ} of {len(a):,}, by {off:.0e}"

    seconds: list[list[float]] = [[], []]
    for _ in range(options.rounds):
        for trainer, times in zip(trainers, seconds, strict=True):
            dist.barrier()
            start = time.perf_counter()
            for i in range(STEPS_A_TURN):
                trainer.step(*shards[i % len(shards)])
            times.append((time.perf_counter() - start) / STEPS_A_TURN)
    us, them = map(statistics.median, seconds)
    return {
        "network": str(network),
        "ranks": str(ranks),
        **differences,
        "DistributedDataParallel, µs a step": f"{them * 1e6:,.0f}",
        "core, µs a step": f"{us * 1e6:,.0f} ({us / them:.2f})",
    }
