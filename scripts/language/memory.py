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
from racing.memory import EVEN_SMALL, PEAK, beyond
from report.contestant import Contestant

CONTESTANTS = {c.name: c for c in (PYTORCH, CORE, *COMPILED)}


def peaks(
    plan: Plan, tokens: int, contestants: Sequence[Contestant], threads: int
) -> dict[Contestant, float]:
    """That of each in bytes, beyond params and optimizer's state; Linux alone tells it."""
    args = json.dumps(asdict(plan)), str(tokens), str(threads)
    return {
        c: json.loads(cli.run_module(__name__, c.name, *args, environment=EVEN_SMALL))
        for c in (contestants if PEAK.exists() else ())
    }


def main(contestant: str, plan: str, tokens: str, threads: str) -> None:
    """Trains, and prints the peak."""
    cli.use_threads(int(threads))
    print(json.dumps(peak(CONTESTANTS[contestant], Plan(**json.loads(plan)), int(tokens))))


def peak(contestant: Contestant, plan: Plan, tokens: int) -> int:
    """The most memory of a step beyond that between steps."""
    generator = torch.Generator().manual_seed(plan.seed)
    drawn = torch.randint(tokens, (plan.block + 1 + plan.batch,), generator=generator)
    batch = text.batch(drawn, plan.block, plan.batch, generator)
    with contestant.context():
        step = contestant.begin(plan, tokens).step
        return beyond(lambda: step(*batch))


if __name__ == "__main__":
    main(*sys.argv[1:])
