"""All contestants train on the same batches, some steps of each in turns."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm import tqdm

from language.plan import Plan
from language.sampling import continued
from language.text import Predict, Text, batch
from language.trainers import Trainer
from report.contestant import Contestant

STEPS_A_TURN = 20
SAMPLES = 4
"""How many are shown, the last one at the end."""

CHARACTERS = 300
"""In each of them."""


@dataclass
class Run:
    """What became of a contestant's training.

    Attributes:
        trainer: The network, trained.
        losses: Those of all steps.
        seconds: That each turn took.
        steps: That each turn had.
    """

    trainer: Trainer
    losses: list[Tensor] = field(default_factory=list[Tensor])
    seconds: list[float] = field(default_factory=list[float])
    steps: list[int] = field(default_factory=list[int])

    @property
    def time(self) -> float:
        """Of a step; the median, without the first turn if there are others."""
        each = [s / n for s, n in zip(self.seconds, self.steps, strict=True)]
        return statistics.median(each[1:] or each)


def run_all(
    plan: Plan, text: Text, contestants: Sequence[Contestant], is_shown: bool = True
) -> dict[Contestant, Run]:
    """Trains with each of them; if it is shown, with samples by the last."""
    runs: dict[Contestant, Run] = {}
    for c in contestants:
        with c.context():
            runs[c] = Run(c.begin(plan, len(text.alphabet)))
    drawn, order = torch.Generator().manual_seed(plan.seed), random.Random(plan.seed)
    with tqdm(total=plan.steps, unit="step", disable=not is_shown) as progress:
        for first in range(0, plan.steps, STEPS_A_TURN):
            n = min(STEPS_A_TURN, plan.steps - first)
            batches = [batch(text.training, plan.block, plan.batch, drawn) for _ in range(n)]
            for c in order.sample(contestants, len(contestants)):
                run = runs[c]
                with c.context():
                    start = time.perf_counter()
                    run.losses += [run.trainer.step(*b) for b in batches]
                    run.seconds.append(time.perf_counter() - start)
                    run.steps.append(n)
            progress.update(n)
            if is_shown and is_due(first, first + n, plan.steps):
                show(plan, text.alphabet, runs[contestants[-1]].trainer.predict, first + n)
    return runs


def is_due(before: int, now: int, steps: int) -> bool:
    """Whether there is to be a sample after so many of the steps, if there was one before."""
    return before * SAMPLES // steps < now * SAMPLES // steps < SAMPLES


def show(plan: Plan, alphabet: str, predict: Predict, step: int) -> None:
    """Prints a sample above the progress bar."""
    tqdm.write(f"\nAfter {step:,} steps:\n\n{sample(plan, alphabet, predict)}\n")


def sample(plan: Plan, alphabet: str, predict: Predict) -> str:
    """A text that is the same for the same network."""
    return continued(predict, "The ", alphabet, plan.block, CHARACTERS, 0.8, plan.seed)
