"""What the section "cold" times: a process that trains the report's network and nothing else."""

import json
import sys

import torch

import cli
from racing.contestants import (
    COMPAT,
    COMPILED_MODEL,
    CORE_COMPILED_ALL,
    CORE_INFERENCE,
    JAX_ALL,
    NUMPY,
    PYTORCH,
    TORCH_FUNC,
    on_report,
)
from racing.race import start
from report.experiment import RELU

CONTESTANTS = (
    PYTORCH,
    COMPILED_MODEL,
    TORCH_FUNC,
    NUMPY,
    JAX_ALL,
    COMPAT,
    CORE_INFERENCE,
    CORE_COMPILED_ALL,
)
EPOCHS, EPOCHS_A_TURN, CHECKED = 500, 10, 2


def main(contestant: str, threads: str) -> None:
    """Trains, and prints the losses of the first turns."""
    cli.use_threads(int(threads))
    turn = start(on_report(CONTESTANTS[int(contestant)], RELU, EPOCHS_A_TURN))
    losses = [turn() for _ in range(EPOCHS // EPOCHS_A_TURN)]
    print(json.dumps(torch.cat(losses[:CHECKED]).tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
