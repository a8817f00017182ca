"""The course report's stateful API over the functional core; no equation stands here.

Its Algorithm 1:

    model, criterion = Sequential(Linear(2, 25), ReLU(), Linear(25, 2)), MSE()
    optimizer = SGD(model.parameters(), model.grads(), lr=0.1)
    for input, target in batches:
        output = model(input)
        loss = criterion(output, target)
        model.backward(criterion.backward())
        optimizer.step()
        optimizer.zero_grad()
"""

if __name__ == "compat":  # by the link at the root of the repository
    raise ImportError("compat: expected to be imported as functional_dl.compat")

from .layers import (
    GELU,
    Conv2d,
    Dropout,
    Flatten,
    LayerModule,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from .losses import MSE, BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, LossModule
from .module import Module
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .sequential import Sequential

__all__ = [
    "GELU",
    "MSE",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "BCEWithLogitsLoss",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "HuberLoss",
    "L1Loss",
    "LayerModule",
    "LeakyReLU",
    "Linear",
    "LossModule",
    "MaxPool2d",
    "Module",
    "Optimizer",
    "RMSprop",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Tanh",
]
