"""A model and a loss as one function, which gives the value and the gradients."""

from collections.abc import Callable

from torch import Tensor

from functional_dl.contract import Layer, Loss, Params


def value_and_grad(
    model: Layer, loss: Loss
) -> Callable[[Params, Tensor, Tensor], tuple[Tensor, Params]]:
    """(params, inputs, targets) ↦ (L, ∇L), with L = loss(model(params, inputs), targets).

    Args:
        model: The layer whose params the gradients are for.
        loss: What measures its outputs against the targets.

    Returns:
        A function that gives the scalar L and its gradients, of the structure of params. No
        gradient of the inputs is computed. Where params require grad, as `nn.Parameter`s do, it is
        called in `torch.no_grad` or `torch.inference_mode`: else new params made of them hold the
        graph of all steps before.
    """

    def f(params: Params, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Params]:
        outputs, pullback = model.vjp(params, inputs)
        value, loss_pullback = loss.vjp(outputs, targets)
        grads, _ = pullback(loss_pullback(), wrt_input=False)
        return value, grads

    return f
