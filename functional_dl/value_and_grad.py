"""A model and a loss as one function, which gives the value and the gradients."""

from collections.abc import Callable

import torch
from torch import Tensor

from functional_dl._errors import not_a
from functional_dl.contract import Generator, Layer, Loss, Params


def check_parts(name: str, model: object, loss: object) -> None:
    """Raises what is no layer or no loss."""
    if not isinstance(model, Layer):
        raise not_a(name, "model", model, "a Layer, such as sequential(...)")
    if not isinstance(loss, Loss):
        raise not_a(name, "loss", loss, "a Loss, such as mse()")


def given(name: str, model: Layer, generator: Generator) -> tuple[torch.Generator, ...]:
    """What the model's vjp takes besides params and inputs."""
    if generator is None:
        return ()
    if not model.draws:
        raise TypeError(f"{name}: expected no generator, since no layer draws, got {generator!r}")
    return (generator,)


def value_and_grad(model: Layer, loss: Loss) -> Callable[..., tuple[Tensor, Params]]:
    """(params, inputs, targets) ↦ (L, ∇L), with L = loss(model(params, inputs), targets).

    Args:
        model: The layer whose params the gradients are for.
        loss: What measures its outputs against the targets.

    Returns:
        A function that gives the scalar L and its gradients, of the structure of params. It takes a
        generator after the targets, from which layers such as dropout draw; without one, they do
        nothing. No gradient of the inputs is computed. Where params require grad, as
        `nn.Parameter`s do, it is called in `torch.no_grad` or `torch.inference_mode`: else new
        params made of them hold the graph of all steps before.

    Raises:
        TypeError: model is no Layer, or loss no Loss. The function raises it for a generator if no
            layer draws.
    """
    check_parts("value_and_grad", model, loss)
    vjp, loss_vjp = model.vjp, loss.vjp

    def f(
        params: Params, inputs: Tensor, targets: Tensor, generator: Generator = None
    ) -> tuple[Tensor, Params]:
        if generator is None:  # a call with * takes longer
            outputs, pullback = vjp(params, inputs)
        else:
            drawing = given("value_and_grad", model, generator)
            outputs, pullback = vjp(params, inputs, *drawing)
        value, loss_pullback = loss_vjp(outputs, targets)
        grads, _ = pullback(loss_pullback(), wrt_input=False)
        return value, grads

    return f
