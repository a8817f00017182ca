"""The report's equations in plain modules, as it prints them, with no thought of rounding."""

import math

import torch
from torch import Tensor

from report.experiment import LEARNING_RATE, RELU, TANH, Network, alternate
from report.trainers import Step


class Module:
    """What has no parameters."""

    def __init__(self) -> None:
        self.parameters: list[Tensor] = []
        self.grads: list[Tensor] = []


class Linear(Module):
    """Y = X Wᵀ + b, with ∇W = (∇Y)ᵀ X, ∇b = 1_N ∇Y and ∇X = ∇Y W."""

    def __init__(self, in_features: int, out_features: int) -> None:
        bound = 1 / math.sqrt(in_features)
        self.weight = torch.empty(out_features, in_features).uniform_(-bound, bound)
        self.bias = torch.empty(out_features).uniform_(-bound, bound)
        self.parameters = [self.weight, self.bias]
        self.grads = [torch.zeros_like(p) for p in self.parameters]

    def forward(self, x: Tensor) -> Tensor:
        """Y."""
        self.x = x
        return x @ self.weight.t() + self.bias

    def backward(self, gy: Tensor) -> Tensor:
        """Adds ∇W and ∇b, and returns ∇X."""
        self.grads[0] += gy.t() @ self.x
        self.grads[1] += gy.sum(0)
        return gy @ self.weight


class ReLU(Module):
    """Y = max(X, 0), with ∇X = ∇Y where X is positive."""

    def forward(self, x: Tensor) -> Tensor:
        """Y."""
        self.active = x > 0
        return x * self.active

    def backward(self, gy: Tensor) -> Tensor:
        """∇X."""
        return gy * self.active


class Tanh(Module):
    """Y = tanh(X), with ∇X = ∇Y ⊙ (1 − Y²)."""

    def forward(self, x: Tensor) -> Tensor:
        """Y."""
        self.y = x.tanh()
        return self.y

    def backward(self, gy: Tensor) -> Tensor:
        """∇X."""
        return gy * (1 - self.y**2)


def as_printed(network: Network) -> Step:
    """A step of training with them, which returns the loss before it."""
    modules = alternate(Linear, {RELU: ReLU, TANH: Tanh}[network])
    pairs = [pair for m in modules for pair in zip(m.parameters, m.grads, strict=True)]

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        output = inputs
        for module in modules:
            output = module.forward(output)
        error = output - targets
        loss = error.pow(2).sum() / error.numel()
        gy = 2 * error / error.numel()
        for module in reversed(modules):
            gy = module.backward(gy)
        for p, g in pairs:
            p -= LEARNING_RATE * g
        for _, g in pairs:
            g.zero_()
        return loss

    return step
