"""The most memory in use while training, beyond that before the first step; each in a process."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from experiment import (
    LEARNING_RATE,
    Step,
    functional,
    pytorch,
    pytorch_model,
    updating,
)
from race import Entry, compare, pivot, ratio
from torch import Tensor, nn
from tqdm import tqdm

THREADS = 2
WIDTH, LAYERS, BATCH, STEPS = 2048, 8, 1024, 3
SIZES = [WIDTH] * (1 + LAYERS)
PEAK = Path("/proc/self/clear_refs")
"""Where Linux is told to forget how much memory a process had at most."""

MALLOCS = {
    "that gives back what is freed": {"MALLOC_MMAP_THRESHOLD_": str(2**20)},
    "as it is": {},
}
"""The first shows what is in use, the second what the system sees."""


def in_hooks() -> Step:
    """PyTorch, where each parameter is updated as soon as its gradient is there."""
    model, criterion = pytorch_model("ReLU", SIZES), nn.MSELoss()
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


WAYS = {
    "PyTorch": lambda: pytorch("ReLU", SIZES).step,
    "PyTorch, optimizer in hooks": in_hooks,
    "value_and_grad, then sgd": lambda: functional("ReLU", SIZES).step,
    "value_and_update": lambda: updating("ReLU", SIZES, hold=True),
    "value_and_update, params handed over": lambda: updating("ReLU", SIZES),
}


def measure(options: Namespace) -> list[Entry]:
    """Each way that malloc may behave is a case."""
    entries: list[Entry] = []
    if not PEAK.exists():
        tqdm.write("memory is left out: only Linux tells it", file=sys.stderr)
        return entries
    for how, environment in MALLOCS.items():
        theirs = torch.empty(0)
        for who in tqdm(WAYS, f"malloc {how}", leave=False):
            command = [sys.executable, __file__, who, str(options.threads), str(options.seed)]
            run = subprocess.run(
                command, env=os.environ | environment, stdout=subprocess.PIPE, check=True
            )
            peak, losses = json.loads(run.stdout)
            theirs = torch.tensor(losses) if who == "PyTorch" else theirs
            right, what = compare(torch.tensor(losses), theirs, exact=True)
            entries.append(Entry({"malloc": how}, who, what, [peak] if right else []))
    return entries


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """In MiB, and in relation to PyTorch."""
    return pivot(
        entries,
        lambda e: {"trained by": e.who},
        lambda e: f"malloc {e.case['malloc']}: MiB (PyTorch = 1)",
        lambda e: f"{e.values[0] / 2**20:,.0f} ({1 / ratio(entries, e):.2f})",
    )


def main(who: str, threads: str, seed: str) -> None:
    """Prints the peak, in bytes, and the losses."""
    torch.set_num_threads(int(threads))
    torch.manual_seed(int(seed))
    step = WAYS[who]()
    inputs, targets = torch.rand(BATCH, WIDTH), torch.rand(BATCH, WIDTH)
    torch.mm(inputs, inputs.t())  # what the first product sets up is not the training's
    PEAK.write_text("5")  # from here on
    before = resident("VmRSS")
    with torch.inference_mode("PyTorch" not in who):
        losses = [step(inputs, targets).item() for _ in range(STEPS)]
    print(json.dumps([resident("VmHWM") - before, losses]))


def resident(what: str) -> int:
    """VmRSS, the memory that the process has now, or VmHWM, the most that it had, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))


if __name__ == "__main__":
    main(*sys.argv[1:])
