"""The digits' networks as one would train them without PyTorch's autograd: JAX, torch.func.

A step takes what is carried, params and the state of Adam, and a batch to the new and the loss.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import functional_dl as fdl
from classifier.networks import CNN, MLP, Network
from classifier.trainers import RATE


def adam_step(
    loss_and_grads: Callable[..., tuple[Any, Any]], sqrt: Callable[[Any], Any]
) -> Callable[..., Any]:
    """A step of all parameters, which are a dict."""

    def adam(p: Any, g: Any, m: Any, v: Any, ones: tuple[Any, Any]) -> tuple[Any, Any, Any]:
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        return p - RATE / ones[0] * m / (sqrt(v / ones[1]) + 1e-8), m, v

    def step(carry: Any, batch: Any) -> tuple[Any, Any]:
        params, m, v, (m_ones, v_ones) = carry
        loss, grads = loss_and_grads(params, batch)
        # The moments of ones, for 1 - 0.999**t would lose what shows in the losses of an epoch.
        ones = 0.9 * m_ones + 0.1, 0.999 * v_ones + 0.001
        new = {k: adam(p, grads[k], m[k], v[k], ones) for k, p in params.items()}
        params, m, v = ({k: of_k[i] for k, of_k in new.items()} for i in range(3))
        return (params, m, v, ones), loss

    return step


def func_loss(network: Network) -> Callable[..., Tensor]:
    """(params, batch) ↦ loss, by PyTorch's modules."""
    model, criterion = network.torch().eval(), nn.CrossEntropyLoss()

    def loss(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
        images, labels = batch
        return criterion(torch.func.functional_call(model, params, (images,)), labels)

    return loss


def func_step(network: Network) -> Callable[..., Any]:
    """A step by torch.func."""
    grads_and_loss = torch.func.grad_and_value(func_loss(network))
    return adam_step(lambda *args: grads_and_loss(*args)[::-1], torch.sqrt)


def func_carry(network: Network) -> Any:
    """PyTorch's parameters, and what Adam begins with."""
    params = {k: p.detach() for k, p in network.torch().named_parameters()}
    m, v = (fdl.tree_map(torch.zeros_like, params) for _ in range(2))
    return params, m, v, (torch.zeros(()), torch.zeros(()))


def jax_loss(network: Network) -> Callable[..., Any]:
    """(params, batch) ↦ loss, by JAX; the params have PyTorch's names."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    def affine(params: Any, i: int, x: Any) -> Any:
        return x @ params[f"{i}.weight"].T + params[f"{i}.bias"]

    def convolved(params: Any, i: int, x: Any) -> Any:
        y = lax.conv_general_dilated(x, params[f"{i}.weight"], (1, 1), [(1, 1), (1, 1)])
        y = jax.nn.relu(y + params[f"{i}.bias"][:, None, None])
        windows = (1, 1, 2, 2)
        return lax.reduce_window(y, -jnp.inf, lax.max, windows, windows, "VALID")

    def mlp(params: Any, x: Any) -> Any:
        hidden = jax.nn.relu(affine(params, 3, jax.nn.relu(affine(params, 0, x))))
        return affine(params, 6, hidden)

    def cnn(params: Any, x: Any) -> Any:
        features = convolved(params, 3, convolved(params, 0, x))
        return affine(params, 8, features.reshape(len(x), -1))

    logits = {MLP: mlp, CNN: cnn}[network]

    def loss(params: Any, batch: Any) -> Any:
        images, labels = batch
        log_softmax = jax.nn.log_softmax(logits(params, images))
        return -jnp.take_along_axis(log_softmax, labels[:, None], 1).mean()

    return loss


def jax_step(network: Network) -> Callable[..., Any]:
    """A step by JAX."""
    import jax

    return adam_step(jax.value_and_grad(jax_loss(network)), jax.numpy.sqrt)


def as_arrays(tree: Any) -> Any:
    """A tree of tensors, as JAX takes it."""
    return fdl.tree_map(lambda t: (t.int() if t.dtype is torch.int64 else t).numpy(), tree)
