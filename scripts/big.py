"""Networks of any size, trained by PyTorch and, in inference_mode, by the functional core."""

import time
from argparse import Namespace
from typing import Any

import torch
from experiment import Step, functional, pytorch, updating
from race import Contestant, Entry, Turn, contest
from torch import Tensor

A_TURN, A_CASE = 0.01, 1.5
"""Seconds that a turn takes at least, and all turns of one if that makes 15 to 25."""


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
        return in_inference_mode(functional(network, sizes).step)

    def updating_turn() -> Turn:
        torch.manual_seed(options.seed)
        return in_inference_mode(updating(network, sizes))

    def in_inference_mode(step: Step) -> Turn:
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
    rounds = options.rounds or min(25, max(15, round(A_CASE / (steps * elapsed))))
    contestants = {
        "PyTorch": Contestant(pytorch_turn),
        "core": Contestant(core_turn),
        "value_and_update": Contestant(updating_turn),
    }
    return contest(case, contestants, steps, rounds)
