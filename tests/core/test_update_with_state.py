"""`value_and_update` with an optimizer is `value_and_grad` and then `update`, part by part."""

import gc
import weakref
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import functional_dl as fdl
from cases import same_bits, same_trees

X, T = torch.randn(7, 3), torch.randn(7, 2)
INNER = fdl.sequential(fdl.linear(4, 4, bias=False), fdl.tanh(), fdl.sequential())
MODELS = {
    "nested": fdl.sequential(fdl.linear(3, 4), fdl.relu(), INNER, fdl.linear(4, 2)),
    "bare": fdl.linear(3, 2),
    "without params": fdl.sequential(fdl.relu()),
}
OPTIMIZERS = {
    "adam": fdl.adam(weight_decay=0.1, decoupled=True, decays=lambda p: p.dim() >= 2),
    "momentum": fdl.momentum(),
    "dampened": fdl.momentum(dampening=0.1),
}
ADAM = fdl.adam()


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_the_same_as_of_the_whole_tree(model: str, optimizer: str, donate: bool) -> None:
    f, rule = MODELS[model], OPTIMIZERS[optimizer]
    t = T if model != "without params" else X
    with torch.inference_mode(donate):
        params = ours = f.init()
        state = our_state = rule.init(params)
        loss_and_grads = fdl.value_and_grad(f, fdl.mse())
        step = fdl.value_and_update(f, fdl.mse(), rule)
        for i in range(1, 4):
            value, grads = loss_and_grads(params, X, t)
            params, state = rule.update(params, grads, state, 0.1 / i)
            our_value, ours, our_state = step(ours, X, t, our_state, 0.1 / i, donate=donate)
            assert same_bits(our_value, value)
            assert same_trees([ours, our_state], [params, state])


def test_nothing_passed_in_is_changed() -> None:
    f = MODELS["nested"]
    params = f.init()
    state = ADAM.init(params)
    before = fdl.tree_map(torch.clone, [params, state])
    with torch.inference_mode():
        fdl.value_and_update(f, fdl.mse(), ADAM)(params, X, T, state, 0.1)
    assert same_trees([params, state], before)


@pytest.mark.parametrize("donate", [False, True])
def test_a_new_state_lies_where_the_old_one_lay_if_that_is_donated(donate: bool) -> None:
    f = fdl.linear(200, 200)  # a layer that is not so small that all its leaves are done at once
    with torch.inference_mode():
        params = f.init()
        state = ADAM.init(params)
        step = fdl.value_and_update(f, fdl.mse(), ADAM)
        x, t = torch.ones(2, 200), torch.zeros(2, 200)
        *_, new = step(params, x, t, state, 0.1, donate=donate)
    for pair in zip(*(fdl.tree_leaves(s["exp_avg"]) for s in (state, new)), strict=True):
        assert (pair[0].data_ptr() == pair[1].data_ptr()) is donate


@pytest.mark.memory
def test_a_layers_part_of_the_state_is_let_go_of_before_those_before_it_are_updated() -> None:
    alive: list[int] = []
    f = fdl.sequential(*(fdl.linear(3, 3, bias=False) for _ in range(4)))
    kept: list[weakref.ref[Tensor]] = []

    def update(*args: Any, **kwargs: Any) -> Any:
        alive.append(sum(ref() is not None for ref in kept))
        return ADAM.update(*args, **kwargs)

    def handed_over() -> list[Any]:
        params = f.init()
        state = ADAM.init(params)
        kept[:] = [weakref.ref(m) for m in fdl.tree_leaves([params, state["exp_avg"]])]
        return [params, state]

    step = fdl.value_and_update(f, fdl.mse(), ADAM._replace(update=update))
    given = handed_over()
    gc.disable()
    try:
        with torch.inference_mode():
            step(given.pop(0), X, X, given.pop(), 0.1)
    finally:
        gc.enable()
    assert alive == [8, 6, 4, 2]


def test_traced_and_for_many_members() -> None:
    f = MODELS["nested"]
    step = fdl.value_and_update(f, fdl.mse(), ADAM)
    params = [f.init(), f.init()]
    states = [ADAM.init(p) for p in params]
    given = params[0], X, T, states[0], torch.tensor(0.1)
    assert same_trees(fdl.trace(step, *given)(*given), step(*given))
    rates = torch.tensor([0.1, 0.2])
    together = torch.vmap(step, (0, None, None, 0, 0))(
        fdl.stack(params), X, T, fdl.stack(states), rates
    )
    alone = [step(p, X, T, s, lr) for p, s, lr in zip(params, states, rates, strict=True)]
    for ours, theirs in zip(*map(fdl.tree_leaves, (together, fdl.stack(alone))), strict=True):
        # Products over many networks sum in another order, and Adam divides by what is small.
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.refuses
def test_what_does_not_fit_is_said_and_nothing_is_changed() -> None:
    f = MODELS["nested"]
    step = fdl.value_and_update(f, fdl.mse(), ADAM)
    params = f.init()
    state = ADAM.init(params)
    before = fdl.tree_map(torch.clone, [params, state])
    flat: Any = {"step": state["step"], "exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3)}
    other: Any = {"0": params["0"], "1": {}}
    bad: list[tuple[Any, type[Exception], str]] = [
        ((params, X, T, {}, 0.1), ValueError, "adam: expected state with the keys"),
        ((params, X, T, None, 0.1), TypeError, "adam: expected state to be a dict"),
        (
            (params, X, T, ADAM.init(other), 0.1),
            ValueError,
            r"adam: expected state\['exp_avg'\] with the keys \['0', '1', '2', '3'\], got",
        ),
        ((other, X, T, state, 0.1), ValueError, "sequential: expected params with the keys"),
        (
            (params | {"0": {"weight": torch.ones(4, 3)}}, X, T, state, 0.1),
            ValueError,
            "linear at 0: expected params with the keys",
        ),
        ((params, X[:, :2], T, state, 0.1), ValueError, "linear at 0: expected x of shape"),
        ((params, X, T, state, -1), ValueError, "adam: expected lr to be finite"),
        (
            (params, X, T, flat, 0.1),
            TypeError,
            r"adam: expected state\['exp_avg'\] to be a dict, got a float32 tensor of shape \(3,\)",
        ),
        (
            (params | {"3": params["0"]}, X, T, state, 0.1),
            ValueError,
            "linear at 3: expected",
        ),
    ]
    for args, error, message in bad:
        with pytest.raises(error, match=f"^{message}"):
            step(*args)
    assert same_trees([params, state], before)
    square = fdl.sequential(fdl.linear(2, 2), fdl.linear(2, 2))
    once = square.init()["0"]
    with pytest.raises(ValueError, match=r"^adam: expected tensors of their own"):
        fdl.value_and_update(square, fdl.mse(), ADAM)(
            {"0": once, "1": once}, T, T, ADAM.init(square.init()), 0.1
        )
    flat = fdl.flat(ADAM)
    with pytest.raises(ValueError, match="value_and_update: expected exp_avg with the keys"):
        fdl.value_and_update(f, fdl.mse(), flat)(params, X, T, flat.init(params), 0.1)


def trusting(params: fdl.Params, grads: fdl.Params, state: Any, lr: Any, **_: Any) -> Any:
    """Somebody's own update, which checks nothing, and counts its steps."""
    return fdl.tree_map(torch.clone, params), state | {"step": state["step"] + 1}


@pytest.mark.refuses
def test_what_an_optimizer_of_ones_own_lets_pass_is_said_here() -> None:
    step = fdl.value_and_update(MODELS["nested"], fdl.mse(), ADAM._replace(update=trusting))
    params = MODELS["nested"].init()
    wanted = r"expected state\['step'\] to be a tree like params, or a 0-d tensor, got"
    for state in ({"step": torch.ones(1)}, {"step": 1}):
        with pytest.raises(TypeError, match=f"^value_and_update: {wanted} "):
            step(params, X, T, state, 0.1)
    square = fdl.sequential(fdl.linear(2, 2), fdl.linear(2, 2))
    once = square.init()["0"]
    step = fdl.value_and_update(square, fdl.mse(), ADAM._replace(update=trusting))
    with pytest.raises(ValueError, match=r"^value_and_update: expected tensors of their own"):
        step({"0": once, "1": once}, T, T, {"step": torch.zeros(())}, 0.1)


def test_an_optimizer_of_ones_own_counts_where_no_layer_has_params() -> None:
    f = fdl.sequential(fdl.relu(), fdl.tanh())
    step = fdl.value_and_update(f, fdl.mse(), ADAM._replace(update=trusting))
    _, params, state = step(f.init(), X, X, {"step": torch.zeros(()), "more": f.init()}, 0.1)
    assert (params, state["step"].item(), state["more"]) == (f.init(), 1, f.init())


@pytest.mark.refuses
def test_a_generator_for_what_draws_nothing_is_refused() -> None:
    params = MODELS["nested"].init()
    step = fdl.value_and_update(MODELS["nested"], fdl.mse(), ADAM)
    with pytest.raises(TypeError, match=r"^value_and_update: expected no generator, since no"):
        step(params, X, T, ADAM.init(params), 0.1, torch.Generator())


def test_a_large_layers_state_is_changed_only_if_it_is_donated() -> None:
    f, x = fdl.linear(200, 200), torch.ones(2, 200)
    with torch.inference_mode():
        params = f.init()
        for optimizer in (ADAM, OPTIMIZERS["momentum"]):
            state = optimizer.init(params)
            before = fdl.tree_map(torch.clone, [params, state])
            fdl.value_and_update(f, fdl.mse(), optimizer)(params, x, x, state, 0.1)
            optimizer.update(params, params, state, 0.1)
            assert same_trees([params, state], before)


@pytest.mark.builds
def test_compiled() -> None:
    torch.compiler.reset()
    f = MODELS["nested"]
    step = fdl.value_and_update(f, fdl.mse(), OPTIMIZERS["adam"])
    params = f.init()
    given = params, X, T, OPTIMIZERS["adam"].init(params), torch.tensor(0.1)
    with torch.inference_mode():
        ours = torch.compile(partial(step, donate=True), fullgraph=True, backend="eager")(*given)
        assert same_trees(ours, step(*given))
