"""All contestants train on the same batches, epoch by epoch in turns, and draw the same numbers."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm import tqdm

from classifier.data import Digits, batches
from classifier.networks import Network
from classifier.trainers import Trainer
from report.contestant import Contestant


@dataclass
class Run:
    """What became of a contestant's training.

    Attributes:
        trainer: The network, trained.
        losses: Those of all steps.
        accuracies: After each epoch, on the digits to test with.
        seconds: That a step took, in each epoch but the first.
    """

    trainer: Trainer
    losses: list[Tensor] = field(default_factory=list[Tensor])
    accuracies: list[float] = field(default_factory=list[float])
    seconds: list[float] = field(default_factory=list[float])

    @property
    def time(self) -> float:
        """The median."""
        return statistics.median(self.seconds or [0.0])


def run_all(
    network: Network,
    training: Digits,
    test: Digits,
    epochs: int,
    seed: int,
    contestants: Sequence[Contestant],
) -> dict[Contestant, Run]:
    """Trains the network with each of them."""
    shuffled = torch.Generator().manual_seed(seed)
    steps = len([*batches(training, torch.Generator())])
    order = random.Random(seed)
    runs: dict[Contestant, Run] = {}
    drawn: dict[Contestant, Tensor] = {}  # the state of the global generator, of each of them
    for contestant in contestants:
        torch.manual_seed(seed)
        with contestant.context():
            runs[contestant] = Run(contestant.begin(network, epochs * steps))
        drawn[contestant] = torch.get_rng_state()

    with (
        onednn(network.onednn),
        tqdm(total=epochs * len(runs), desc=str(network), unit="epoch") as progress,
    ):
        for epoch in range(epochs):
            epochs_batches = [*batches(training, shuffled)]
            for contestant in order.sample(contestants, len(contestants)):
                run = runs[contestant]
                torch.set_rng_state(drawn[contestant])
                with contestant.context():
                    start = time.perf_counter()
                    run.losses += [run.trainer.step(*batch) for batch in epochs_batches]
                    elapsed = time.perf_counter() - start
                    run.accuracies.append(accuracy(run.trainer.predict, test))
                drawn[contestant] = torch.get_rng_state()
                if epoch:
                    run.seconds.append(elapsed / steps)
                progress.update()
    return runs


@contextmanager
def onednn(enabled: bool) -> Generator[None]:
    """Whether PyTorch may use it; its own context manager warns where there is no GPU."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = enabled
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before


def accuracy(predict: Callable[[Tensor], Tensor], digits: Digits) -> float:
    """The share of the digits that are told rightly, by the scores that predict gives."""
    right = predict(digits.images).argmax(1) == digits.labels
    return right.double().mean().item()
