"""Trains the report's networks on sharded batches, beside PyTorch's DistributedDataParallel.

    torchrun --standalone --nproc-per-node 2 scripts/data_parallel.py

With --seeds, it trains an ensemble, whose members are shared out among the ranks.
"""

import os
import statistics
import time
from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any, NamedTuple

import cli
import torch
from experiment import (
    BATCH_SIZE,
    LEARNING_RATE,
    NETWORKS,
    POINTS,
    Points,
    functional_model,
    functional_step,
    pytorch_model,
)
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

import functional_dl as fdl
from functional_dl.distributed import average

STEPS_A_TURN = 100
PATIENCE = timedelta(seconds=30)
"""How long a rank waits for the others before it gives up."""


class Trainer(NamedTuple):
    """A network on this rank, trained on its shards."""

    step: Callable[[Tensor, Tensor], object]
    parameters: Callable[[], list[Tensor]]


def ours(network: str, device: torch.device) -> Trainer:
    """The functional core's."""
    model = functional_model(network)
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params = on(device, model.init())

    @torch.inference_mode()
    def step(inputs: Tensor, targets: Tensor) -> None:
        nonlocal params
        _, grads = loss_and_grads(params, inputs, targets)
        params = fdl.sgd(params, average(grads), LEARNING_RATE)

    return Trainer(step, lambda: [*fdl.to_state_dict(params).values()])


def theirs(network: str, device: torch.device) -> Trainer:
    """PyTorch's."""
    model = DistributedDataParallel(pytorch_model(network).to(device))
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)

    def step(inputs: Tensor, targets: Tensor) -> None:
        criterion(model(inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    return Trainer(step, lambda: [p.detach() for p in model.parameters()])


def compare(network: str, options: Namespace, device: torch.device) -> dict[str, str]:
    """Both trained on the same shards; then timed, in turns."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(options.seed)
    size = BATCH_SIZE // ranks
    shards = [
        tuple(part.split(size)[rank].to(device) for part in batch)
        for batch in Points.draw(POINTS).batches()
    ]
    trainers: list[Trainer] = []
    for make in (ours, theirs):
        torch.manual_seed(options.seed)
        trainers.append(make(network, device))
    found: dict[str, str] = {}
    steps = options.epochs * len(shards)
    for i in tqdm(range(steps), network, unit="step", disable=rank > 0, leave=False):
        for trainer in trainers:
            trainer.step(*shards[i % len(shards)])
        if i in (0, steps - 1):
            a, b = (torch.cat([p.flatten() for p in t.parameters()]) for t in trainers)
            differ = (a.view(torch.int32) != b.view(torch.int32)).sum().item()
            off = (a - b).abs().max().item()
            found[f"after {i + 1:,} steps"] = f"{differ} of {len(a):,}, by {off:.0e}"

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
        "network": network,
        "ranks": str(ranks),
        **{f"parameters that differ {when}": what for when, what in found.items()},
        "DistributedDataParallel, µs a step": f"{them * 1e6:,.0f}",
        "core, µs a step": f"{us * 1e6:,.0f} ({us / them:.2f})",
    }


def ensemble(network: str, options: Namespace, device: torch.device) -> dict[str, str]:
    """Members from seeds of their own, shared out: each rank trains its own as one."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(options.seed)
    training, test = Points.draw(POINTS), Points.draw(POINTS)
    batches = [tuple(part.to(device) for part in batch) for batch in training.batches()]
    model = functional_model(network)
    members: list[fdl.Params] = []
    for seed in range(options.seed, options.seed + options.seeds)[rank::ranks]:
        torch.manual_seed(seed)
        members.append(on(device, model.init()))
    params = fdl.stack(members)
    step = torch.vmap(functional_step(network), in_dims=(0, None, None))
    with torch.inference_mode():
        dist.barrier()
        start = time.perf_counter()
        for _ in tqdm(range(options.epochs), network, unit="epoch", disable=rank > 0, leave=False):
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
        "network": network,
        "ranks": str(ranks),
        "members": str(len(errors)),
        "test error: least, median, most": " ".join(
            f"{e:.3f}" for e in (errors[0], statistics.median(errors), errors[-1])
        ),
        "µs for a step of each": f"{seconds / steps * 1e6:.1f}",
    }


def on(device: torch.device, params: fdl.Params) -> fdl.Params:
    """The params, moved."""
    return {k: {name: p.to(device) for name, p in layer.items()} for k, layer in params.items()}


def main(args: list[str] | None = None) -> None:
    """Runs everything on this rank."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="epochs of training")
    parser.add_argument("--rounds", type=cli.whole(1), default=20, help="timed turns of each")
    parser.add_argument("--seeds", type=cli.whole(1), help="train so many members of an ensemble")
    cli.add_out(parser)
    options = parser.parse_args(args)
    if not dist.is_torchelastic_launched():
        parser.error("expected to be started by: torchrun --standalone --nproc-per-node 2")
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    for what, number in (("the batch", BATCH_SIZE), ("--seeds", options.seeds)):
        if number and number % ranks:
            parser.error(f"expected a number of ranks that divides {what}, {number}; got {ranks}")

    gpus = torch.cuda.is_available()
    local = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    torch.set_num_threads(1)
    # Imported while there is a group, as DDP does it, its functions keep that one as a default;
    # the group's threads then outlive it, and one that frees a tensor at exit aborts the process.
    import_module("torch.distributed.nn")
    dist.init_process_group("nccl" if gpus else "gloo", timeout=PATIENCE)
    cli.pin(1, first=local)  # this thread, not those of the group, which began before
    train = ensemble if options.seeds else compare
    title = "An ensemble" if options.seeds else "Sharded batches, beside DistributedDataParallel"
    tables = {title: [train(network, options, device) for network in NETWORKS]}
    dist.barrier()  # nobody leaves while another is still at the last mean
    dist.destroy_process_group()
    if rank == 0:
        cli.show(tables, options.format)
        report = {"machine": cli.machine(), **tables}
        with cli.all_or_nothing(options.out) as folder:
            cli.write_json(folder / "data-parallel.json", report)


if __name__ == "__main__":
    main()
