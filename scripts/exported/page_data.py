"""What the page that trains is given of a seed, and what its gradients are compared with."""

from typing import Any

import torch
from torch import Tensor

import functional_dl as fdl
from exported.taken_apart import network, taken_apart
from report.experiment import LEARNING_RATE, NETWORKS, POINTS, SIZES, Points
from report.trainers import pytorch, train

REPORTS = {str(network).lower(): network for network in NETWORKS}
"""The report's networks, by activation."""


def arrays_of(seed: int, epochs: int) -> dict[str, Tensor]:
    """What a page with this seed begins with, and the losses that PyTorch comes to."""
    torch.manual_seed(seed)
    points = {"training": Points.draw(POINTS), "test": Points.draw(POINTS)}
    arrays = {f"{kind}.{k}": v for kind, p in points.items() for k, v in p._asdict().items()}
    for activation, reports in REPORTS.items():
        torch.manual_seed(seed)
        trainer = pytorch(reports)
        if reports == NETWORKS[0]:  # all begin with the same
            names = fdl.to_state_dict(reports.core().init(device="meta"))
            start = zip(names, trainer.parameters(), strict=True)
            arrays |= {f"params.{k}": p.clone() for k, p in start}
        arrays[f"{activation}.losses"] = train(trainer, points["training"], epochs).flatten()
    return arrays


def probes(activation: str, steps: tuple[int, ...]) -> list[dict[str, Any]]:
    """The report's network before some steps of its training, and what each of them computes.

    That is in double precision, so that what differs from it is not Python's rounding.
    """
    torch.manual_seed(0)
    batches = Points.draw(POINTS).batches()
    torch.manual_seed(0)
    model = network(activation, SIZES[1:-1])
    params, step = model.init(), taken_apart(model)
    found: list[dict[str, Any]] = []
    for i in range(max(steps) + 1):
        batch = batches[i % len(batches)]
        if i in steps:
            in_double = fdl.tree_map(Tensor.double, (params, *batch))
            _, loss, told = step(*in_double, LEARNING_RATE)
            leaves = fdl.to_state_dict({"params": params, "loss": loss, **told})
            listed = {k: v.flatten().tolist() for k, v in leaves.items()}
            found.append({"activation": activation, "step": i, **listed})
        params, _, _ = step(params, *batch, LEARNING_RATE)
    return found
