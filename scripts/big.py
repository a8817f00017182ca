"""Networks of any size, trained by PyTorch and by the functional core."""

import time
from argparse import Namespace
from typing import Any

import torch
from experiment import functional, pytorch
from race import Contestant, Entry, Turn, contest
from torch import Tensor

A_TURN, A_CASE = 0.01, 1.0
"""Seconds that a turn should take at least, and those of a case at most, if three rounds allow."""


def contest_of(
    case: dict[str, Any], network: str, sizes: list[int], batch: int, options: Namespace
) -> list[Entry]:
    """The contest of one network on random data."""
    inputs, targets = torch.rand(batch, sizes[0]), torch.rand(batch, sizes[-1])

    def pytorch_turn() -> Turn:
        torch.manual_seed(options.seed)
        step = pytorch(network, sizes=sizes).step
        return lambda: torch.stack([step(inputs, targets) for _ in range(steps)])

    def core_turn() -> Turn:
        torch.manual_seed(options.seed)
        step = functional(network, sizes).step

        def turn() -> Tensor:
            with torch.inference_mode():
                return torch.stack([step(inputs, targets) for _ in range(steps)])

        return turn

    steps = 1
    turn = pytorch_turn()
    turn()
    start = time.perf_counter()
    turn()
    elapsed = time.perf_counter() - start
    steps = max(1, round(A_TURN / elapsed))
    rounds = options.rounds or min(15, max(3, round(A_CASE / (2 * steps * elapsed))))
    contestants = {
        "PyTorch": Contestant(pytorch_turn),
        "core, inference_mode": Contestant(core_turn),
    }
    return contest(case, contestants, steps, rounds)
