"""The report's experiment: its data and its two networks.

Points in the unit square are told apart by whether they lie within a disk, by a network
2 → 25 → 25 → 25 → 2 with ReLU or Tanh, trained with SGD on the mean squared error.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

import functional_dl as fdl
from functional_dl import compat

SIZES = (2, 25, 25, 25, 2)
LEARNING_RATE = 0.1
BATCH_SIZE = 100
POINTS = 1000


class Points(NamedTuple):
    """Points in the unit square, N×2, and their one-hot classes, N×2."""

    inputs: Tensor
    targets: Tensor

    @classmethod
    def draw(cls, n: int) -> "Points":
        """Draws n points; class 1 lies within 1/√(2π) of the centre."""
        inputs = torch.rand(n, 2)
        inside = (inputs - 0.5).square().sum(1) < 1 / (2 * math.pi)
        return cls(inputs, torch.eye(2)[inside.long()])

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """Contiguous batches, in order."""
        return list(zip(self.inputs.split(BATCH_SIZE), self.targets.split(BATCH_SIZE), strict=True))


Batches: TypeAlias = tuple[Tensor, Tensor]
"""Inputs and targets, each batches × samples × features."""


@dataclass(frozen=True)
class Network:
    """Linear layers with an activation between them, as each library builds it."""

    name: str
    core_activation: Callable[[], fdl.Layer]
    compat_activation: Callable[[], compat.Module]
    torch_activation: Callable[[], nn.Module]

    def __str__(self) -> str:
        return self.name

    def core(self, sizes: Sequence[int] = SIZES) -> fdl.Layer:
        """The functional core's."""
        return fdl.sequential(*alternate(fdl.linear, self.core_activation, sizes))

    def compat(self, sizes: Sequence[int] = SIZES) -> compat.Sequential:
        """compat's."""
        return compat.Sequential(*alternate(compat.Linear, self.compat_activation, sizes))

    def torch(self, sizes: Sequence[int] = SIZES) -> nn.Sequential:
        """PyTorch's."""
        return nn.Sequential(*alternate(nn.Linear, self.torch_activation, sizes))


RELU = Network("ReLU", fdl.relu, compat.ReLU, nn.ReLU)
TANH = Network("Tanh", fdl.tanh, compat.Tanh, nn.Tanh)
NETWORKS = (RELU, TANH)


def alternate(
    linear: Callable[[int, int], object],
    activation: Callable[[], object],
    sizes: Sequence[int] = SIZES,
) -> list[Any]:
    """Linear layers from size to size, and activations between them."""
    layers = [linear(sizes[0], sizes[1])]
    for pair in pairwise(sizes[1:]):
        layers += [activation(), linear(*pair)]
    return layers
