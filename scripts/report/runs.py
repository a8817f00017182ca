"""Runs of all contestants on both networks: one to warm up and to learn from, the rest timed."""

import random
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

from report.contestant import Contestant
from report.experiment import NETWORKS, Network, Points
from report.trainers import COMPAT, CONTESTANTS, CORE, Trainer, train

TIMED = (
    *CONTESTANTS,
    replace(CORE, name="functional core, without inference_mode", context=nullcontext),
    replace(COMPAT, name="compat, in inference_mode", context=torch.inference_mode),
)


class Run(NamedTuple):
    """A network, its losses in all steps, epochs × batches, and how long they took."""

    trainer: Trainer
    losses: Tensor
    seconds: float


Pair: TypeAlias = tuple[Network, Contestant]


def run_all(points: Points, epochs: int, runs: int, seed: int) -> dict[Pair, list[Run]]:
    """The run that warms up, and the timed ones, all interleaved in random order."""
    rng = random.Random(seed)
    pairs = [(network, contestant) for network in NETWORKS for contestant in TIMED]
    done: dict[Pair, list[Run]] = {pair: [] for pair in pairs}
    with tqdm(total=len(pairs) * (1 + runs), unit="run") as progress:
        for _ in range(1 + runs):
            for network, contestant in rng.sample(pairs, len(pairs)):
                progress.set_description(f"{network}, {contestant.name}")
                torch.manual_seed(seed)
                trainer = contestant.begin(network)
                with contestant.context():
                    start = time.perf_counter()
                    losses = train(trainer, points, epochs)
                    seconds = time.perf_counter() - start
                done[network, contestant].append(Run(trainer, losses, seconds))
                progress.update()
    return done
