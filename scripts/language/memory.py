"""The most memory that a contestant has in use while it trains, in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import torch

import cli
from language import text
from language.plan import Plan
from language.trainers import COMPILED, CORE, PYTORCH
from racing.memory import PEAK, resident
from report.contestant import Contestant

CONTESTANTS = {c.name: c for c in (PYTORCH, CORE, *COMPILED)}
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(2**14)}
"""Has malloc return what is freed, even of tensors that are small, so that memory is in use."""


def peaks(
    plan: Plan, tokens: int, contestants: Sequence[Contestant], threads: int
) -> dict[Contestant, float]:
    """That of each in bytes, beyond params and optimizer's state; Linux alone tells it."""
    args = json.dumps(asdict(plan)), str(tokens), str(threads)
    return {
        c: json.loads(cli.run_module(__name__, c.name, *args, environment=GIVES_BACK))
        for c in (contestants if PEAK.exists() else ())
    }


def main(contestant: str, plan: str, tokens: str, threads: str) -> None:
    """Trains, and prints the peak."""
    cli.use_threads(int(threads))
    print(json.dumps(peak(CONTESTANTS[contestant], Plan(**json.loads(plan)), int(tokens))))


def peak(contestant: Contestant, plan: Plan, tokens: int) -> int:
    """The most memory beyond that between steps, of some steps after those that set things up."""
    generator = torch.Generator().manual_seed(plan.seed)
    drawn = torch.randint(tokens, (plan.block + 1 + plan.batch,), generator=generator)
    batch = text.batch(drawn, plan.block, plan.batch, generator)
    with contestant.context():
        step = contestant.begin(plan, tokens).step
        for _ in range(2):
            step(*batch)
        PEAK.write_text("5")  # from here on
        before = resident("VmRSS")
        for _ in range(3):
            step(*batch)
    return resident("VmHWM") - before


if __name__ == "__main__":
    main(*sys.argv[1:])
