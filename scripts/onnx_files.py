"""What onnx_train.py trains from and is compared with: made with torch, in a process of its own."""

import math
import time
from pathlib import Path

import cli
import exported
import torch
from experiment import (
    LEARNING_RATE,
    POINTS,
    Contestant,
    Points,
    error_rate,
    functional_model,
    pytorch,
    train,
)
from onnx_runtime import Arrays, Reference
from torch import Tensor

from functional_dl.export import to_onnx

PROBES = 25
eager: dict[str, Contestant] = {}
"""PyTorch's networks, to be timed."""


def prepare(network: str, seed: int, epochs: int, folder: Path) -> Reference:
    """Writes the files of a network, and trains it with PyTorch."""
    cli.use_threads(1)
    exported.write(network, folder / f"{network}-step.onnx")
    exported.write(network, folder / f"{network}-training.onnx", loop="steps")
    model = functional_model(network)
    params = model.init()
    to_onnx(model.apply, (params, torch.ones(2, 2)), folder / f"{network}-predict.onnx")

    torch.manual_seed(seed)
    points = {"training": Points.draw(POINTS), "test": Points.draw(POINTS)}
    batches = points["training"].batches()

    def begin() -> Contestant:
        torch.manual_seed(seed)
        return pytorch(network)

    def arrays(contestant: Contestant) -> Arrays:
        parameters = (p.numpy().copy() for p in contestant.parameters())
        return dict(zip(names, parameters, strict=True))

    names = [*exported.arrays(params)]
    whole, nudged, eager[network] = begin(), begin(), begin()
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
        start,
        exported.feeds(batches, LEARNING_RATE),
        {k: (p.inputs.numpy(), p.targets.numpy()) for k, p in points.items()},
        torch.stack(losses).numpy(),
        train(nudged, points["training"], epochs).flatten().numpy(),
        {k: error_rate(whole, p) for k, p in points.items()},
        probes,
    )


def turn(network: str, feeds: list[Arrays], steps: int) -> float:
    """Seconds in which PyTorch does so many steps."""
    batches = [(torch.from_numpy(f["inputs"]), torch.from_numpy(f["targets"])) for f in feeds]
    start = time.perf_counter()
    for i in range(steps):
        eager[network].step(*batches[i % len(batches)])
    return time.perf_counter() - start
