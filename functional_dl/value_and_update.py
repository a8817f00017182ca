"""A model, a loss and an update as one function, which never holds all gradients at once."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from functional_dl.contract import Layer, Loss, Params, Update
from functional_dl.sequential import sequential


def value_and_update(
    model: Layer, loss: Loss, update: Update
) -> Callable[[Params, Tensor, Tensor], tuple[Tensor, Params]]:
    """(params, inputs, targets) ↦ (L, update(params, ∇L)): as `value_and_grad`, then update.

    To the bit; but each layer's gradients become its new params as soon as they are known, on the
    way back, and what the layer kept of the way there is let go of. It is right since a layer's
    pullback has kept the params that the cotangent has to go through, and new ones are made beside
    them. There is never a whole tree of gradients, nor of old params beside the new, if the caller
    holds none: `f(state.pop(), inputs, targets)`, where state is a list of the params alone.

    Args:
        model: The layer whose params are updated.
        loss: What measures its outputs against the targets.
        update: A pure function of params and grads, of one layer at a time, such as
            `functools.partial(sgd, lr=0.1)`, or with donate=True: nobody else sees the gradients.

    Returns:
        A function that gives the scalar L and the new params.
    """
    if not getattr(model.vjp, "takes_update", False):
        of_chain = value_and_update(sequential(model), loss, update)

        def alone(params: Params, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Params]:
            value, new = of_chain({"0": params}, inputs, targets)
            return value, new["0"]

        return alone

    def f(params: Params, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Params]:
        # What is no longer needed is let go of at once.
        outputs, pullback = model.vjp(params, inputs)
        del params
        value, loss_pullback = loss.vjp(outputs, targets)
        del outputs
        last = [loss_pullback()]
        del loss_pullback
        updating: Any = pullback
        new, _ = updating(last.pop(), wrt_input=False, update=update)
        return value, new

    return f
