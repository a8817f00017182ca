"""Contests of networks of any size on random data: PyTorch and, in inference_mode, the core."""

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from racing.race import Entry, Turn, contest
from report.contestant import Contestant, Whose
from report.experiment import Network
from report.trainers import core, pytorch, updating

A_TURN, A_CASE = 0.01, 1.5
"""Seconds that a turn takes at least, and all turns of one if that makes 15 to 25."""

# They begin with a network and sizes, and give a step.
PYTORCH = Contestant("PyTorch", Whose.PYTORCH, lambda network, sizes: pytorch(network, sizes).step)
CORE = Contestant(
    "core",
    Whose.OURS,
    lambda network, sizes: core(network, sizes, donate=True).step,
    context=torch.inference_mode,
)
UPDATING = replace(CORE, name="value_and_update", begin=updating)


def contest_of(
    case: dict[str, Any],
    network: Network,
    sizes: list[int],
    batch: int,
    options: Namespace,
    contestants: Sequence[Contestant] = (PYTORCH, CORE, UPDATING),
) -> list[Entry]:
    """The contest of one network; turns have as many steps as PyTorch takes A_TURN for."""
    inputs, targets = torch.rand(batch, sizes[0]), torch.rand(batch, sizes[-1])
    steps = 1

    def sized(contestant: Contestant) -> Contestant:
        def begin() -> Turn:
            torch.manual_seed(options.seed)
            step = contestant.begin(network, sizes)

            def turn() -> Tensor:
                return torch.stack([step(inputs, targets) for _ in range(steps)])

            return turn

        return replace(contestant, begin=begin)

    turn = sized(contestants[0]).begin()
    turn()
    start = time.perf_counter()
    turn()
    elapsed = time.perf_counter() - start
    steps = max(1, round(A_TURN / elapsed))
    rounds = options.rounds or min(25, max(15, round(A_CASE / (steps * elapsed))))
    return contest(case, [sized(c) for c in contestants], steps, rounds)
