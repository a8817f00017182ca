"""PyTorch's side of onnx_train: writes the files, trains beside them, and is timed."""

import math
import time
from pathlib import Path

import torch
from torch import Tensor

import cli
from exported import files
from exported.reference import Arrays, Reference
from functional_dl.export import to_onnx
from report.experiment import LEARNING_RATE, POINTS, Batches, Network, Points
from report.trainers import Trainer, error_rate, pytorch, train

PROBES = 25
timed: dict[str, tuple[Trainer, list[Batches]]] = {}
"""By network: what is timed, and the batches that it goes through."""


def prepare(network: Network, seed: int, epochs: int, folder: Path) -> Reference:
    """Writes the files of a network, and trains it with PyTorch."""
    cli.use_threads(1)
    files.write(network, folder / f"{network}-step.onnx")
    files.write(network, folder / f"{network}-training.onnx", loop="steps")
    model = network.core()
    params = model.init()
    to_onnx(model.apply, (params, torch.ones(2, 2)), folder / f"{network}-predict.onnx")

    torch.manual_seed(seed)
    points = {"training": Points.draw(POINTS), "test": Points.draw(POINTS)}
    batches = points["training"].batches()

    def begin() -> Trainer:
        torch.manual_seed(seed)
        return pytorch(network)

    def arrays(trainer: Trainer) -> Arrays:
        parameters = (p.numpy().copy() for p in trainer.parameters())
        return dict(zip(names, parameters, strict=True))

    names = [*files.arrays(params)]
    whole, nudged = begin(), begin()
    timed[str(network)] = begin(), batches
    start = arrays(whole)

    first = nudged.parameters()[0].view(-1)[:1]
    first.copy_(first.nextafter(torch.tensor(math.inf)))

    losses: list[Tensor] = []
    probes: list[tuple[Arrays, Arrays]] = []
    for epoch in range(epochs):
        before = arrays(whole)
        for i, batch in enumerate(batches):
            losses.append(whole.step(*batch))
            if i == 0 and epoch % -(-epochs // PROBES) == 0:
                probes.append((before, arrays(whole)))

    return Reference(
        str(network),
        start,
        files.feeds(batches, LEARNING_RATE),
        {k: (p.inputs.numpy(), p.targets.numpy()) for k, p in points.items()},
        torch.stack(losses).numpy(),
        train(nudged, points["training"], epochs).flatten().numpy(),
        {k: error_rate(whole, p) for k, p in points.items()},
        probes,
    )


def turn(network: str, steps: int) -> float:
    """Seconds in which it does so many steps."""
    trainer, batches = timed[network]
    start = time.perf_counter()
    for i in range(steps):
        trainer.step(*batches[i % len(batches)])
    return time.perf_counter() - start
