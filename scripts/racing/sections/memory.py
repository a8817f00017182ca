"""The most memory in use while training, beyond that before the first step; each in a process."""

import json
import sys
from argparse import Namespace
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from racing import charts
from racing.memory import MALLOCS, PEAK, peaks, resident
from racing.race import Entry, pivot, ratio
from racing.section import Section
from report.contestant import Contestant, Whose
from report.experiment import LEARNING_RATE, RELU
from report.trainers import Step, core, pytorch, updating

WIDTH, LAYERS, BATCH, STEPS = 2048, 8, 1024, 3
SIZES = [WIDTH] * (1 + LAYERS)


def in_hooks() -> Step:
    """PyTorch, where each parameter is updated as soon as its gradient is there."""
    model, criterion = RELU.torch(SIZES), nn.MSELoss()
    optimizers = {p: torch.optim.SGD([p], LEARNING_RATE) for p in model.parameters()}

    def update(p: Any) -> None:
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(update)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        loss = criterion(model(inputs), targets)
        loss.backward()
        return loss.detach()

    return step


# They begin with nothing, and give a step.
PYTORCH = Contestant("PyTorch", Whose.PYTORCH, lambda: pytorch(RELU, SIZES).step)
SEPARATELY = Contestant(
    "value_and_grad, then sgd",
    Whose.OURS,
    lambda: core(RELU, SIZES, donate=True).step,
    context=torch.inference_mode,
)
CONTESTANTS = (
    PYTORCH,
    replace(PYTORCH, name="PyTorch, optimizer in hooks", begin=in_hooks),
    SEPARATELY,
    replace(SEPARATELY, name="value_and_update", begin=lambda: updating(RELU, SIZES, hold=True)),
    replace(
        SEPARATELY,
        name="value_and_update, params handed over",
        begin=lambda: updating(RELU, SIZES),
    ),
)


def measure(options: Namespace) -> list[Entry]:
    """Each way that malloc may behave is a case."""
    entries: list[Entry] = []
    if not PEAK.exists():
        tqdm.write("memory is left out: only Linux tells it", file=sys.stderr)
        return entries

    def args(i: int) -> tuple[str, ...]:
        return str(i), str(options.threads), str(options.seed)

    for how, environment in MALLOCS.items():
        entries += peaks(__name__, {"malloc": how}, CONTESTANTS, args, environment)
    return entries


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """In MiB, and in relation to PyTorch."""
    return pivot(
        entries,
        lambda e: {"trained by": e.who},
        lambda e: f"malloc {e.case['malloc']}: MiB (PyTorch = 1)",
        lambda e: f"{e.values[0] / 2**20:,.0f} ({1 / ratio(entries, e):.2f})",
    )


SECTION = Section(
    "memory",
    "The most memory beyond that before the first step, 8 layers of 2048, batch 1024",
    2,
    measure,
    table,
    partial(charts.bars, label="times as little memory as PyTorch eager"),
)


def main(contestant: str, threads: str, seed: str) -> None:
    """Trains, and prints the peak, in bytes, and the losses."""
    torch.set_num_threads(int(threads))
    torch.manual_seed(int(seed))
    who = CONTESTANTS[int(contestant)]
    step = who.begin()
    inputs, targets = torch.rand(BATCH, WIDTH), torch.rand(BATCH, WIDTH)
    torch.mm(inputs, inputs.t())  # what the first product sets up is not the training's
    PEAK.write_text("5")  # from here on
    before = resident("VmRSS")
    with who.context():
        losses = [step(inputs, targets).item() for _ in range(STEPS)]
    print(json.dumps([resident("VmHWM") - before, losses]))


if __name__ == "__main__":
    main(*sys.argv[1:])
