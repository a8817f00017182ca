"""An ensemble of the report's networks, shared out among the ranks: what each rank runs."""

import statistics
import time
from argparse import Namespace
from typing import Any

import torch
from torch import distributed as dist
from tqdm import tqdm

import functional_dl as fdl
from report.experiment import LEARNING_RATE, POINTS, Network, Points
from report.sharded import on
from report.trainers import core_step


def ensemble(network: Network, options: Namespace, device: torch.device) -> dict[str, str]:
    """Members from seeds of their own, shared out: each rank trains its own as one."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(options.seed)
    training, test = Points.draw(POINTS), Points.draw(POINTS)
    batches = [tuple(part.to(device) for part in batch) for batch in training.batches()]
    model = network.core()
    members: list[fdl.Params] = []
    for seed in range(options.seed, options.seed + options.seeds)[rank::ranks]:
        torch.manual_seed(seed)
        members.append(on(device, model.init()))
    params = fdl.stack(members)
    step = torch.vmap(core_step(network), in_dims=(0, None, None))
    with torch.inference_mode():
        dist.barrier()
        start = time.perf_counter()
        for _ in tqdm(
            range(options.epochs), str(network), unit="epoch", disable=rank > 0, leave=False
        ):
            for batch in batches:
                params, _ = step(params, LEARNING_RATE, batch)
        dist.barrier()
        seconds = time.perf_counter() - start
        outputs = torch.vmap(model.apply, in_dims=(0, None))(params, test.inputs.to(device))
    wrong = (outputs.argmax(2).cpu() != test.targets.argmax(1)).double().mean(1).tolist()
    of_all: list[Any] = [None] * ranks
    dist.all_gather_object(of_all, wrong)
    errors = sorted(error for of_rank in of_all for error in of_rank)
    steps = options.epochs * len(batches) * options.seeds
    return {
        "network": str(network),
        "ranks": str(ranks),
        "members": str(len(errors)),
        "test error: least, median, most": " ".join(
            f"{e:.3f}" for e in (errors[0], statistics.median(errors), errors[-1])
        ),
        "µs for a step of each": f"{seconds / steps * 1e6:.1f}",
    }
