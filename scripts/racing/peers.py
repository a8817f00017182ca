"""The report's networks as one would train them without PyTorch's autograd: NumPy, JAX, torch.func.

All start from the parameters given, weights and biases in turn, and give a loss for each step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from report.experiment import LEARNING_RATE, RELU, TANH, Network
from report.trainers import Step


def numpy_step(network: Network, parameters: list[Tensor]) -> Step:
    """NumPy by hand, in place."""
    weights = [p.numpy().copy() for p in parameters[::2]]
    biases = [p.numpy().copy() for p in parameters[1::2]]

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        kept = [inputs.numpy()]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            z = kept[-1] @ w.T + b
            kept.append(np.maximum(z, 0) if network == RELU else np.tanh(z))
        error = kept[-1] @ weights[-1].T + biases[-1] - targets.numpy()
        loss = np.square(error).mean()
        gy = error * np.float32(2 / error.size)
        for i in reversed(range(len(weights))):
            x = kept[i]
            gw, gb = gy.T @ x, gy.sum(0)
            if i > 0:
                gx = gy @ weights[i]
                gy = gx * (x > 0) if network == RELU else gx * (1 - x * x)
            weights[i] -= np.float32(LEARNING_RATE) * gw
            biases[i] -= np.float32(LEARNING_RATE) * gb
        return torch.tensor(loss)

    return step


def jax_step(network: Network) -> Callable[..., Any]:
    """(params, lr, batch) ↦ (new params, loss), to be transformed by JAX."""
    import jax
    from jax import numpy as jnp

    activation = {RELU: jax.nn.relu, TANH: jnp.tanh}[network]

    def loss(params: list[Any], batch: tuple[Any, Any]) -> Any:
        x, targets = batch
        for i in range(0, len(params), 2):
            x = x @ params[i].T + params[i + 1]
            x = activation(x) if i + 2 < len(params) else x
        return jnp.mean(jnp.square(x - targets))

    def step(params: list[Any], lr: Any, batch: tuple[Any, Any]) -> tuple[list[Any], Any]:
        value, grads = jax.value_and_grad(loss)(params, batch)
        return [p - lr * g for p, g in zip(params, grads, strict=True)], value

    return step


def func_step(network: Network) -> Callable[..., Any]:
    """(params, lr, batch) ↦ (new params, loss), by PyTorch's modules and torch.func."""
    model, criterion = network.torch(), nn.MSELoss()

    def loss(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = batch
        return criterion(torch.func.functional_call(model, params, (inputs,)), targets)

    def step(params: Any, lr: Any, batch: tuple[Tensor, Tensor]) -> tuple[Any, Tensor]:
        grads, value = torch.func.grad_and_value(loss)(params, batch)
        return {k: p - lr * grads[k] for k, p in params.items()}, value

    return step
