"""What the page that trains is given of a network and of a seed."""

from collections.abc import Callable

import torch
from torch import Tensor

import functional_dl as fdl
from report.experiment import NETWORKS, POINTS, Network, Points
from report.trainers import pytorch, train


def units_of(network: Network) -> Callable[[fdl.Params, Tensor], Tensor]:
    """(params, inputs) ↦ what the units give, N×79: the inputs, the hidden ones, the outputs."""
    layers: dict[str, fdl.Layer] = network.core().layers

    def units(params: fdl.Params, inputs: Tensor) -> Tensor:
        given = [inputs]
        for k, layer in layers.items():
            given.append(layer.apply(params[k], given[-1]))
        return torch.cat([*given[::2], given[-1]], 1)

    return units


def arrays_of(seed: int, epochs: int) -> dict[str, Tensor]:
    """What a page with this seed begins with, and the losses that PyTorch comes to."""
    torch.manual_seed(seed)
    points = {"training": Points.draw(POINTS), "test": Points.draw(POINTS)}
    arrays = {f"{kind}.{k}": v for kind, p in points.items() for k, v in p._asdict().items()}
    for network in NETWORKS:
        torch.manual_seed(seed)
        trainer = pytorch(network)
        if network == NETWORKS[0]:  # all begin with the same
            names = fdl.to_state_dict(network.core().init(device="meta"))
            start = zip(names, trainer.parameters(), strict=True)
            arrays |= {f"params.{k}": p.clone() for k, p in start}
        arrays[f"{network}.losses"] = train(trainer, points["training"], epochs).flatten()
    return arrays
