"""A model, a loss and an update as one function, which never holds all gradients at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, overload, runtime_checkable

from torch import Tensor

from functional_dl._errors import not_a, not_keyed
from functional_dl._guard import rebuilt, unguarded, with_vjp
from functional_dl._tree import at, put, taken
from functional_dl.contract import (
    Generator,
    Layer,
    Loss,
    Optimizer,
    Params,
    Pullback,
    State,
    Update,
    Vjp,
    call_of,
)
from functional_dl.layers._tied import Tied, place_of
from functional_dl.optimizers._leaves import OptimizerCall, TreesUpdate
from functional_dl.state_dict import check_untied
from functional_dl.value_and_grad import check_parts, given


@runtime_checkable
class StepWithState(Protocol):
    """What `value_and_update` makes with an optimizer."""

    def __call__(
        self,
        params: Params,
        inputs: Tensor,
        targets: Tensor,
        state: State,
        lr: float | Tensor,
        generator: Generator = None,
        *,
        donate: bool = False,
    ) -> tuple[Tensor, Params, State]:
        """L, new params and the new state."""
        ...


@overload
def value_and_update(
    model: Layer, loss: Loss, update: Update
) -> Callable[..., tuple[Tensor, Params]]: ...


@overload
def value_and_update(model: Layer, loss: Loss, update: Optimizer) -> StepWithState: ...


def value_and_update(model: Layer, loss: Loss, update: Update | Optimizer) -> Any:
    """(params, inputs, targets) ↦ (L, update(params, ∇L)): as `value_and_grad`, then update.

    With an optimizer, (params, inputs, targets, state, lr) ↦ (L, params, state).

    Every bit is the same; but each layer's gradients become its new params on the way back, as soon
    as they are known, and what the layer kept for that is let go of. This is right since a
    pullback has kept the params that the cotangent goes through, and new ones are made beside
    them. There is never a whole tree of gradients, nor of old params beside the new, if the caller
    holds none: `f(kept.pop(), inputs, targets)`, where kept is a list of the params alone. So it is
    with each layer's part of the state; its 0-d tensors, such as the number of steps, are every
    layer's, and advance once.

    Args:
        model: The layer whose params are updated.
        loss: What measures its outputs against the targets.
        update: An optimizer, such as `adam()`; or a pure function of params and grads, of one layer
            at a time, such as `functools.partial(sgd, lr=0.1)`, or with donate=True: nobody else
            sees the gradients.

    Returns:
        A function that gives the scalar L and the new params; and, with an optimizer, which is also
        handed donate, the new state. It takes a generator after all of these, as that of
        `value_and_grad` does.

    Raises:
        TypeError: model is no Layer, loss no Loss, or update no function and no optimizer.
    """
    check_parts("value_and_update", model, loss)
    if isinstance(update, Optimizer):
        return _with_state(model, loss, update)
    if not callable(update):
        raise not_a(
            "value_and_update", "update", update, "a function of params and grads, or an Optimizer"
        )
    updated = updating(model, update)

    def f(
        params: Params, inputs: Tensor, targets: Tensor, generator: Generator = None
    ) -> tuple[Tensor, Params]:
        forward = [updated.vjp(params, inputs, *given("value_and_update", model, generator))]
        check_untied("value_and_update", params)
        del params
        return _way_back(forward, loss, targets)

    return f


def _way_back(
    forward: list[tuple[Tensor, Pullback]], loss: Loss, targets: Tensor
) -> tuple[Tensor, Any]:
    """The loss, and what the pullback gives; what is no longer needed is let go of at once."""
    outputs, pullback = forward.pop()
    value, loss_pullback = loss.vjp(outputs, targets)
    del outputs
    cotangent = [loss_pullback()]
    del loss_pullback
    new, _ = pullback(cotangent.pop(), wrt_input=False)
    return value, new


def updating(f: Layer, update: Update) -> Layer:
    """The layer, but its pullback gives new params in the place of gradients, and only once."""
    if isinstance(call_of(f), Tied):
        by_layer = _updating_by_what_comes(f)

        def vjp_of_pairs(params: Params, *x: Any) -> tuple[Tensor, Pullback]:
            return by_layer.vjp(_pairs(f, params, update), *x)

        return f._replace(vjp=vjp_of_pairs)
    if f.layers:
        return rebuilt(f, lambda _, part: updating(part, update))
    vjp_of_f = unguarded(f)

    def vjp(params: Params, x: Tensor, generator: Generator = None) -> tuple[Tensor, Pullback]:
        return _updating(vjp_of_f, params, update, x, *((generator,) if f.draws else ()))

    return with_vjp(f, vjp)


def _updating(
    vjp: Vjp, params: Params, update: Callable[[Params, Params], Any], *primals: Any
) -> tuple[Tensor, Pullback]:
    y, pullback_of_f = vjp(params, *primals)
    kept = [(params, update, pullback_of_f)]

    def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[Any, Tensor | None]:
        params, update, pullback_of_f = kept.pop()
        grads, gx = pullback_of_f(gy, wrt_input=wrt_input)
        del pullback_of_f
        return update(params, grads), gx

    return y, pullback


def _with_state(model: Layer, loss: Loss, optimizer: Optimizer) -> StepWithState:
    by_layer = _updating_by_what_comes(model)

    def f(
        params: Params,
        inputs: Tensor,
        targets: Tensor,
        state: State,
        lr: float | Tensor,
        generator: Generator = None,
        *,
        donate: bool = False,
    ) -> tuple[Tensor, Params, State]:
        drawing = given("value_and_update", model, generator)

        try:
            numbers, trees = _told_apart(state)
            advanced, update = _begin(optimizer, numbers, trees, lr, donate)
            forward = [by_layer.vjp(_parts(model, params, trees, update), inputs, *drawing)]
            check_untied("value_and_update", params)
        except Exception:
            model.vjp(params, inputs, *drawing)
            optimizer.update(params, params, state, lr)
            raise
        keys = [*state]
        del params, state, trees
        value, made = _way_back(forward, loss, targets)
        if advanced.keys() != numbers.keys():  # no layer has params
            update({}, {}, {k: {} for k in keys if k not in numbers})
        new_state = {
            k: advanced[k] if k in numbers else _each(model, made, lambda part, k=k: part[1][k])
            for k in keys
        }
        return value, _each(model, made, lambda part: part[0]), new_state

    return f


def _begin(
    optimizer: Optimizer, numbers: State, trees: State, lr: float | Tensor, donate: bool
) -> tuple[State, TreesUpdate]:
    """The numbers of the next state, perhaps not before an update; and what updates a layer."""
    call = call_of(optimizer)
    if isinstance(call, OptimizerCall):
        return call.begin(numbers | trees, lr, donate)
    advanced: State = {}

    def update(params: Params, grads: Params, trees: State) -> tuple[Params, State]:
        new, state = optimizer.update(params, grads, numbers | trees, lr, donate=donate)
        advanced.update((k, state[k]) for k in numbers)
        return new, state

    return advanced, update


def _told_apart(state: State) -> tuple[State, State]:
    """The 0-d tensors of a state, and its trees."""
    trees = {k: tree for k, tree in state.items() if isinstance(tree, dict)}
    numbers = {k: number for k, number in state.items() if k not in trees}
    for k, number in numbers.items():
        if not isinstance(number, Tensor) or number.dim():
            kind = "a tree like params, or a 0-d tensor"
            raise not_a("value_and_update", f"state[{k!r}]", number, kind)
    return numbers, trees


def _parts(f: Layer, params: Params, trees: State, update: Callable[..., Any]) -> Any:
    """For each layer in its place: its params, and what updates them, which has its state."""
    if not f.layers:
        return params, partial(update, trees=trees) if params else lambda *_: (params, trees)
    for name, tree in {"params": params, **trees}.items():
        if tree.keys() != f.layers.keys():
            raise not_keyed("value_and_update", name, tree, f.layers)
    return {
        k: _parts(g, params[k], {name: tree[k] for name, tree in trees.items()}, update)
        for k, g in f.layers.items()
    }


def _pairs(f: Layer, params: Params, update: Update) -> Any:
    """For each layer in its place: its params, and what updates them."""
    if not f.layers:
        return params, update
    return {k: _pairs(g, params[k], update) for k, g in f.layers.items()}


def _each(f: Layer, parts: Any, what: Callable[[Any], Any]) -> Any:
    """what of each layer's part, in its place."""
    if not f.layers:
        return what(parts)
    return {k: _each(g, parts[k], what) for k, g in f.layers.items()}


def _updating_by_what_comes(f: Layer) -> Layer:
    """The layer, but each one in it takes a pair, of params and of what updates them.

    Its pullback gives what that gives in the place of gradients.
    """
    call = call_of(f)
    if isinstance(call, Tied):
        whole, leaves = _updating_by_what_comes(call.f), [*call.leaves.items()]

        def vjp_of_whole(pairs: Any, *x: Any) -> tuple[Tensor, Pullback]:
            waiting: dict[str, Tensor] = {}
            for path, of in leaves:
                pairs = _shared(f, pairs, path, of, waiting)
            return whole.vjp(pairs, *x)

        return f._replace(vjp=vjp_of_whole)
    if f.layers:
        return rebuilt(f, lambda _, part: _updating_by_what_comes(part))

    def vjp(pair: Any, x: Tensor, generator: Generator = None) -> tuple[Tensor, Pullback]:
        return _updating(f.vjp, *pair, x, *((generator,) if f.draws else ()))

    return f._replace(vjp=vjp)


def _shared(f: Layer, pairs: Any, path: str, of: str, waiting: dict[str, Tensor]) -> Any:
    """The pairs, with a leaf in two places; its gradient in the second waits for the first."""
    (place, leaf), (first_place, first_leaf) = place_of(f, path), place_of(f, of)
    params, update = at(pairs, place)
    first_params, first_update = at(pairs, first_place)

    def update_rest(params: Params, grads: Params) -> Any:
        g, grads = taken(grads, leaf)
        waiting[of] = waiting[of] + g if of in waiting else g
        return update(taken(params, leaf)[1], grads)

    def update_first(params: Params, grads: Params) -> Any:
        if of in waiting:  # where several places have it, the first call has the sum
            grads = put(grads, first_leaf, waiting.pop(of) + at(grads, first_leaf))
        return first_update(params, grads)

    shared = put(params, leaf, at(first_params, first_leaf))
    pairs = put(pairs, place, (shared, update_rest))
    return put(pairs, first_place, (first_params, update_first))
