"""Adam and AdamW as one would write them without PyTorch's autograd: for torch.func and JAX.

A step takes what is carried, params and the state of Adam, and a batch to the new and the loss.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import functional_dl as fdl
from classifier.trainers import RATE


def adam_step(
    loss_and_grads: Callable[..., tuple[Any, Any]], sqrt: Callable[[Any], Any], decay: float
) -> Callable[..., Any]:
    """A step of all parameters, which are a dict."""

    def adam(p: Any, g: Any, m: Any, v: Any, ones: tuple[Any, Any]) -> tuple[Any, Any, Any]:
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        kept = p * (1 - RATE * decay) if decay else p
        return kept - RATE / ones[0] * m / (sqrt(v / ones[1]) + 1e-8), m, v

    def step(carry: Any, batch: Any) -> tuple[Any, Any]:
        params, m, v, (m_ones, v_ones) = carry
        loss, grads = loss_and_grads(params, batch)
        # The moments of ones, for 1 - 0.999**t would lose what shows in the losses of an epoch.
        ones = 0.9 * m_ones + 0.1, 0.999 * v_ones + 0.001
        new = {k: adam(p, grads[k], m[k], v[k], ones) for k, p in params.items()}
        params, m, v = ({k: of_k[i] for k, of_k in new.items()} for i in range(3))
        return (params, m, v, ones), loss

    return step


def func_loss(model: nn.Module, criterion: nn.Module) -> Callable[..., Tensor]:
    """(params, batch) ↦ loss, by PyTorch's modules."""
    model.eval()

    def loss(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = batch
        return criterion(torch.func.functional_call(model, params, (inputs,)), targets)

    return loss


def func_step(model: nn.Module, criterion: nn.Module, decay: float = 0.0) -> Callable[..., Any]:
    """A step by torch.func."""
    grads_and_loss = torch.func.grad_and_value(func_loss(model, criterion))
    return adam_step(lambda *args: grads_and_loss(*args)[::-1], torch.sqrt, decay)


def func_carry(model: nn.Module) -> Any:
    """PyTorch's parameters, and what Adam begins with."""
    params = {k: p.detach() for k, p in model.named_parameters()}
    m, v = (fdl.tree_map(torch.zeros_like, params) for _ in range(2))
    return params, m, v, (torch.zeros(()), torch.zeros(()))


def jax_step(loss: Callable[..., Any], decay: float = 0.0) -> Callable[..., Any]:
    """A step by JAX."""
    import jax

    return adam_step(jax.value_and_grad(loss), jax.numpy.sqrt, decay)


def as_arrays(tree: Any) -> Any:
    """A tree of tensors, as JAX takes it."""
    return fdl.tree_map(lambda t: (t.int() if t.dtype is torch.int64 else t).numpy(), tree)
