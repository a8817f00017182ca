"""A model, a loss and an update as one function, which never holds all gradients at once."""

from collections.abc import Callable

from torch import Tensor

from functional_dl._errors import not_a
from functional_dl._guard import rebuilt, unguarded, with_vjp
from functional_dl.contract import Cotangents, Generator, Layer, Loss, Params, Pullback, Update
from functional_dl.state_dict import check_untied
from functional_dl.value_and_grad import check_parts, given


def value_and_update(
    model: Layer, loss: Loss, update: Update
) -> Callable[..., tuple[Tensor, Params]]:
    """(params, inputs, targets) ↦ (L, update(params, ∇L)): as `value_and_grad`, then update.

    Every bit is the same; but each layer's gradients become its new params on the way back, as soon
    as they are known, and what the layer kept for that is let go of. This is right since a
    pullback has kept the params that the cotangent goes through, and new ones are made beside
    them. There is never a whole tree of gradients, nor of old params beside the new, if the caller
    holds none: `f(state.pop(), inputs, targets)`, where state is a list of the params alone.

    Args:
        model: The layer whose params are updated.
        loss: What measures its outputs against the targets.
        update: A pure function of params and grads, of one layer at a time, such as
            `functools.partial(sgd, lr=0.1)`, or with donate=True: nobody else sees the gradients.

    Returns:
        A function that gives the scalar L and the new params, which takes a generator after the
        targets as that of `value_and_grad` does.

    Raises:
        TypeError: model is no Layer, loss no Loss, or update no function.
    """
    check_parts("value_and_update", model, loss)
    if not callable(update):
        raise not_a("value_and_update", "update", update, "a function of params and grads")
    updated = updating(model, update)

    def f(
        params: Params, inputs: Tensor, targets: Tensor, generator: Generator = None
    ) -> tuple[Tensor, Params]:
        # What is no longer needed is let go of at once.
        drawing = given("value_and_update", model, generator)
        outputs, pullback = updated.vjp(params, inputs, *drawing)
        check_untied("value_and_update", params)
        del params
        value, loss_pullback = loss.vjp(outputs, targets)
        del outputs
        cotangent = [loss_pullback()]
        del loss_pullback
        new, _ = pullback(cotangent.pop(), wrt_input=False)
        return value, new

    return f


def updating(f: Layer, update: Update) -> Layer:
    """The layer, but its pullback gives new params in the place of gradients, and only once."""
    if f.layers:
        return rebuilt(f, lambda _, part: updating(part, update))
    vjp_of_f = unguarded(f)

    def vjp(params: Params, x: Tensor, generator: Generator = None) -> tuple[Tensor, Pullback]:
        y, pullback_of_f = vjp_of_f(params, x, generator) if f.draws else vjp_of_f(params, x)
        kept = [(params, pullback_of_f)]

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Cotangents:
            params, pullback_of_f = kept.pop()
            grads, gx = pullback_of_f(gy, wrt_input=wrt_input)
            del pullback_of_f
            return update(params, grads), gx

        return y, pullback

    return with_vjp(f, vjp)
