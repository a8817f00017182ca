"""The two networks, as each library builds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

import functional_dl as fdl
from functional_dl import compat


@dataclass(frozen=True)
class Network:
    """A classifier of images.

    Attributes:
        name: As tables show it.
        shape: That of an image.
        core: Makes the functional core's.
        compat: Makes compat's.
        torch: Makes PyTorch's.
        onednn: Whether PyTorch may use oneDNN, whose convolutions round otherwise.
    """

    name: str
    shape: tuple[int, ...]
    core: Callable[[], fdl.Layer]
    compat: Callable[[], compat.Module]
    torch: Callable[[], nn.Module]
    onednn: bool = True

    def __str__(self) -> str:
        return self.name


MLP = Network(
    "MLP",
    (64,),
    lambda: fdl.sequential(
        fdl.linear(64, 64),
        fdl.relu(),
        fdl.dropout(0.1),
        fdl.linear(64, 64),
        fdl.relu(),
        fdl.dropout(0.1),
        fdl.linear(64, 10),
    ),
    lambda: compat.Sequential(
        compat.Linear(64, 64),
        compat.ReLU(),
        compat.Dropout(0.1),
        compat.Linear(64, 64),
        compat.ReLU(),
        compat.Dropout(0.1),
        compat.Linear(64, 10),
    ),
    lambda: nn.Sequential(
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(64, 10),
    ),
)
CNN = Network(
    "CNN",
    (1, 8, 8),
    lambda: fdl.sequential(
        fdl.conv2d(1, 16, 3, padding=1),
        fdl.relu(),
        fdl.max_pool2d(2),
        fdl.conv2d(16, 32, 3, padding=1),
        fdl.relu(),
        fdl.max_pool2d(2),
        fdl.flatten(),
        fdl.dropout(0.2),
        fdl.linear(128, 10),
    ),
    lambda: compat.Sequential(
        compat.Conv2d(1, 16, 3, padding=1),
        compat.ReLU(),
        compat.MaxPool2d(2),
        compat.Conv2d(16, 32, 3, padding=1),
        compat.ReLU(),
        compat.MaxPool2d(2),
        compat.Flatten(),
        compat.Dropout(0.2),
        compat.Linear(128, 10),
    ),
    lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    ),
)
CNN_BY_PRODUCTS = Network("CNN, oneDNN off", CNN.shape, CNN.core, CNN.compat, CNN.torch, False)
NETWORKS = (MLP, CNN, CNN_BY_PRODUCTS)
