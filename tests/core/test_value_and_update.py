"""`value_and_update` is `value_and_grad` and then the update, and holds less on the way."""

import gc
import re
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import functional_dl as fdl
from cases import DTYPES, LAYERS, Draw, same_bits, same_trees

SGD = partial(fdl.sgd, lr=0.1)


def composite(*layers: fdl.Layer) -> fdl.Layer:
    """A user's layer of several, whose pullback takes no update."""
    inner = fdl.sequential(*layers)

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        y, pullback = inner.vjp(params, x)
        return y, lambda gy, *, wrt_input=True: pullback(gy, wrt_input=wrt_input)

    return fdl.Layer(inner.init, inner.apply, vjp)


def network(activation: Callable[[], fdl.Layer], *, bias: bool = True) -> fdl.Layer:
    linear = partial(fdl.linear, bias=bias)
    return fdl.sequential(linear(3, 4), activation(), linear(4, 4), activation(), linear(4, 2))


def nested(hidden: fdl.Layer) -> fdl.Layer:
    inner = fdl.sequential(hidden, fdl.linear(4, 4))
    middle = fdl.sequential(fdl.linear(4, 4), fdl.relu(), inner, fdl.sequential())
    return fdl.sequential(fdl.linear(3, 4), middle, fdl.sequential(fdl.linear(4, 2)))


TWELVE = [f() for _ in range(6) for f in (partial(fdl.linear, 3, 3), fdl.tanh)]
MODELS = {
    "relu": network(fdl.relu),
    "tanh": network(fdl.tanh),
    "no bias": network(fdl.relu, bias=False),
    "nested": nested(fdl.tanh()),
    "nested first": fdl.sequential(network(fdl.tanh), fdl.linear(2, 2)),
    "more than ten": fdl.sequential(*TWELVE, fdl.linear(3, 2)),
    "a bare linear": fdl.linear(3, 2),
    "empty inside": fdl.sequential(fdl.sequential(), fdl.linear(3, 2), fdl.sequential()),
    "without params first and last": fdl.sequential(fdl.relu(), fdl.linear(3, 2), fdl.tanh()),
    "a user's": nested(composite(fdl.linear(4, 4), fdl.tanh())),
    "a bare user's": composite(fdl.linear(3, 2)),
}
SHAPES = [(7,), (), (2, 3, 5), (0,)]


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype)


X, T = draw(7, 3), draw(7, 2)


@pytest.fixture
def _no_garbage_collection() -> Iterator[None]:
    """What is let go of is so by counting references."""
    gc.disable()
    yield
    gc.enable()


# The same as value_and_grad and then the update


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("inference", [False, True])
class TestSameBits:
    """As value_and_grad, and then the update of the whole tree."""

    @pytest.mark.long
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("by_tensor", [False, True], ids=["number", "tensor"])
    def test_of_value_and_new_params(
        self, name: str, inference: bool, dtype: torch.dtype, by_tensor: bool
    ) -> None:
        model, lr = MODELS[name], torch.tensor(0.1, dtype=dtype) if by_tensor else 0.1
        params = model.init(dtype=dtype)
        update = partial(fdl.sgd, lr=lr)
        for shape in SHAPES:
            x, t = draw(*shape, 3, dtype=dtype), draw(*shape, 2, dtype=dtype)
            with torch.inference_mode(inference):
                value, grads = fdl.value_and_grad(model, fdl.mse())(params, x, t)
                ours, new = fdl.value_and_update(model, fdl.mse(), update)(params, x, t)
                assert same_bits(ours, value)
                assert same_trees(new, update(params, grads))

    @pytest.mark.long
    @pytest.mark.parametrize("donate", [False, True])
    def test_over_many_steps(self, name: str, inference: bool, donate: bool) -> None:
        model = MODELS[name]
        ours = theirs = model.init()
        step = fdl.value_and_update(model, fdl.mse(), partial(SGD, donate=donate))
        loss_and_grads = fdl.value_and_grad(model, fdl.mse())
        with torch.inference_mode(inference):
            for _ in range(10):
                our_loss, ours = step(ours, X, T)
                their_loss, grads = loss_and_grads(theirs, X, T)
                theirs = fdl.sgd(theirs, grads, 0.1)
                assert same_bits(our_loss, their_loss)
        assert same_trees(ours, theirs)

    def test_again_and_nothing_passed_in_has_changed(self, name: str, inference: bool) -> None:
        f, params = fdl.value_and_update(MODELS[name], fdl.mse(), SGD), MODELS[name].init()
        leaves = [X, T, *fdl.tree_leaves(params)]
        before, structure = [leaf.clone() for leaf in leaves], repr(params)
        with torch.inference_mode(inference):
            value, new = f(params, X, T)
            f(MODELS[name].init(), -X, -T)
            again, new_again = f(params, X, T)
        assert same_bits(value, again)
        assert same_trees(new, new_again)
        assert all(map(same_bits, leaves, before))
        assert repr(params) == structure


@pytest.mark.builds
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", ["relu", "nested", "a user's"])
def test_compiled(name: str, inference: bool) -> None:
    torch.compiler.reset()
    f, params = fdl.value_and_update(MODELS[name], fdl.mse(), SGD), MODELS[name].init()
    with torch.inference_mode(inference):
        ours = torch.compile(f, fullgraph=True, backend="eager")(params, X, T)
        assert same_trees(ours, f(params, X, T))  # this backend runs the same kernels


@pytest.mark.parametrize("name", LAYERS)
@given(rng=st.randoms(use_true_random=False))
def test_of_every_layer(name: str, rng: Random) -> None:
    d = Draw(rng)
    model, _, params, x = LAYERS[name].drawn(d)
    t = d.tensor(*model.apply(params, x).shape)
    with torch.inference_mode(rng.random() < 0.5):
        value, grads = fdl.value_and_grad(model, fdl.mse())(params, x, t)
        ours = fdl.value_and_update(model, fdl.mse(), SGD)(params, x, t)
        assert same_trees(ours, (value, SGD(params, grads)))


def test_without_any_layer_there_is_nothing_to_update() -> None:
    f = fdl.value_and_update(fdl.sequential(), fdl.mse(), SGD)
    value, new = f({}, T, T + 2)
    assert same_bits(value, fdl.mse().apply(T, T + 2))
    assert new == {}


@pytest.mark.refuses
def test_the_new_params_are_what_the_update_gives_whatever_that_is() -> None:
    model, given = network(fdl.relu), []

    def update(params: fdl.Params, grads: fdl.Params) -> Any:
        given.append(sorted(grads))
        return len(given)

    _, new = fdl.value_and_update(model, fdl.mse(), update)(model.init(), X, T)
    assert list(new.items()) == [("0", 5), ("1", 4), ("2", 3), ("3", 2), ("4", 1)]
    assert given == [["bias", "weight"], [], ["bias", "weight"], [], ["bias", "weight"]]


# One layer after the other, from the last to the first


def by_layer(model: str, tree: fdl.Params) -> list[fdl.Params]:
    """The parts of a tree that an update gets, from the first layer's to the last one's."""
    if model == "relu":
        return [*tree.values()]
    middle = tree["1"]
    hidden, last = middle["2"].values()
    return [tree["0"], middle["0"], middle["1"], hidden, last, middle["3"], tree["2"]["0"]]


@pytest.mark.parametrize("name", ["relu", "nested", "a user's"])
class TestLayerByLayer:
    """The update is called for one layer at a time; a user's layer is one, whatever it holds."""

    def test_from_the_last_to_the_first_with_its_params_and_gradients(self, name: str) -> None:
        model, calls = MODELS[name], []
        params = model.init()

        def update(of_layer: fdl.Params, grads: fdl.Params) -> fdl.Params:
            calls.append((of_layer, grads))
            return fdl.sgd(of_layer, grads, 0.1)

        fdl.value_and_update(model, fdl.mse(), update)(params, X, T)
        _, expected = fdl.value_and_grad(model, fdl.mse())(params, X, T)
        layers, grads = by_layer(name, params), by_layer(name, expected)
        assert all(a is b for (a, _), b in zip(calls, layers[::-1], strict=True))
        for (_, a), b in zip(calls, grads[::-1], strict=True):
            assert same_trees(a, b)

    @pytest.mark.memory
    @pytest.mark.usefixtures("_no_garbage_collection")
    @pytest.mark.parametrize("inference", [False, True])
    def test_the_gradients_of_one_are_gone_before_those_of_the_next(
        self, name: str, inference: bool
    ) -> None:
        model, seen = MODELS[name], []

        def update(params: fdl.Params, grads: fdl.Params) -> fdl.Params:
            assert not any(grad() is not None for grad in seen)
            seen.extend(map(weakref.ref, fdl.tree_leaves(grads)))
            return fdl.sgd(params, grads, 0.1)

        params = model.init()
        with torch.inference_mode(inference):
            fdl.value_and_update(model, fdl.mse(), update)(params, X, T)
        assert len(seen) == len(fdl.tree_leaves(params))
        assert not any(grad() is not None for grad in seen)

    @pytest.mark.memory
    @pytest.mark.usefixtures("_no_garbage_collection")
    @pytest.mark.parametrize("inference", [False, True])
    def test_old_params_go_as_the_new_come_if_the_caller_holds_none(
        self, name: str, inference: bool
    ) -> None:
        model, alive = MODELS[name], []
        state = [model.init()]
        old = [[*map(weakref.ref, fdl.tree_leaves(layer))] for layer in by_layer(name, state[0])]

        def update(params: fdl.Params, grads: fdl.Params) -> fdl.Params:
            alive.append([[p() is not None for p in layer] for layer in old])
            return fdl.sgd(params, grads, 0.1)

        with torch.inference_mode(inference):
            fdl.value_and_update(model, fdl.mse(), update)(state.pop(), X, T)
        n = len(old)
        expected = [[[i <= k] * len(old[i]) for i in range(n)] for k in reversed(range(n))]
        assert alive == expected
        assert not any(p() is not None for layer in old for p in layer)

    @pytest.mark.memory
    @pytest.mark.usefixtures("_no_garbage_collection")
    def test_old_params_stay_as_they_are_if_the_caller_holds_them(self, name: str) -> None:
        model = MODELS[name]
        params = model.init()
        before = fdl.tree_map(torch.clone, params)

        def update(of_layer: fdl.Params, grads: fdl.Params) -> fdl.Params:
            assert same_trees(params, before)
            return fdl.sgd(of_layer, grads, 0.1)

        _, new = fdl.value_and_update(model, fdl.mse(), update)(params, X, T)
        assert same_trees(params, before)
        both = zip(fdl.tree_leaves(params), fdl.tree_leaves(new), strict=True)
        assert not any(a is b for a, b in both)


class Spy:
    """A user's layer, Y = w X, that tells whether what its pullback kept is still there."""

    def __init__(self) -> None:
        self.kept: list[weakref.ref] = []

    def layer(self) -> fdl.Layer:
        def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
            residual = x.clone()
            self.kept.append(weakref.ref(residual))
            return residual * params["w"], lambda gy, *, wrt_input=True: (
                {"w": (gy * residual).sum()},
                gy * params["w"] if wrt_input else None,
            )

        return fdl.Layer(lambda *_, **__: {"w": torch.ones(())}, lambda p, x: vjp(p, x)[0], vjp)


@pytest.mark.memory
@pytest.mark.usefixtures("_no_garbage_collection")
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("nest", [False, True])
def test_what_a_layer_kept_is_gone_when_it_is_updated(nest: bool, inference: bool) -> None:
    spies, alive = [Spy() for _ in range(4)], []
    first, second, third, fourth = (spy.layer() for spy in spies)
    model = fdl.sequential(first, second, third, fourth)
    if nest:
        model = fdl.sequential(first, fdl.sequential(second, fdl.sequential(third)), fourth)

    def update(params: fdl.Params, grads: fdl.Params) -> fdl.Params:
        alive.append([spy.kept[0]() is not None for spy in spies])
        return fdl.sgd(params, grads, 0.1)

    params = model.init()
    with torch.inference_mode(inference):
        fdl.value_and_update(model, fdl.mse(), update)(params, X, X + 1)
    assert alive == [[i < k for i in range(4)] for k in (3, 2, 1, 0)]
    assert [len(spy.kept) for spy in spies] == [1] * 4
    assert not any(spy.kept[0]() is not None for spy in spies)


@pytest.mark.memory
@pytest.mark.usefixtures("_no_garbage_collection")
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("nest", [False, True])
def test_a_layers_gradients_are_gone_when_the_cotangent_comes_to_the_layer_before_it(
    nest: bool, inference: bool
) -> None:
    seen, alive = [], []

    def vjp(_: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[fdl.Params, Tensor | None]:
            alive.append([grad() is not None for grad in seen])
            return {}, gy if wrt_input else None

        return x + 0, pullback

    spy = fdl.Layer(lambda *_, **__: {}, lambda _, x: x, vjp)
    layers = [fdl.linear(3, 3), spy, fdl.linear(3, 3), spy, fdl.linear(3, 2), spy]
    if nest:
        layers[3:5] = [fdl.sequential(spy, fdl.sequential(layers[4]))]

    def update(params: fdl.Params, grads: fdl.Params) -> fdl.Params:
        seen.extend(map(weakref.ref, grads.values()))
        return fdl.sgd(params, grads, 0.1)

    model = fdl.sequential(*layers)
    params = model.init()
    with torch.inference_mode(inference):
        fdl.value_and_update(model, fdl.mse(), update)(params, X, T)
    assert alive == [[], [False] * 2, [False] * 4]


@pytest.mark.memory
@pytest.mark.usefixtures("_no_garbage_collection")
def test_the_output_and_what_the_loss_kept_are_gone_when_the_first_update_comes() -> None:
    model, mse, seen, alive = network(fdl.relu), fdl.mse(), [], []

    def vjp(y: Tensor, t: Tensor) -> tuple[Tensor, fdl.LossPullback]:
        value, pullback = mse.vjp(y, t)
        seen.extend([weakref.ref(y), weakref.ref(pullback)])
        return value, pullback

    def update(params: fdl.Params, grads: fdl.Params) -> fdl.Params:
        alive.append([ref() is not None for ref in seen])
        return params

    fdl.value_and_update(model, fdl.Loss(mse.apply, vjp), update)(model.init(), X, T)
    assert alive == [[False, False]] * 5


# Bad input


def without(params: fdl.Params, k: str) -> fdl.Params:
    return {name: p for name, p in params.items() if name != k}


BAD: dict[str, Callable[[fdl.Params], tuple[Any, Any, Any]]] = {
    "a narrow x": lambda p: (p, X[:, :2], T),
    "an x of integers": lambda p: (p, X.long(), T),
    "an x in float64": lambda p: (p, X.double(), T),
    "a target of another shape": lambda p: (p, X, T[:, :1]),
    "a target that would broadcast": lambda p: (p, X, T[0]),
    "a target in float64": lambda p: (p, X, T.double()),
    "a layer missing": lambda p: (without(p, "1"), X, T),
    "a layer too many": lambda p: (p | {"5": {}}, X, T),
    "a leaf missing": lambda p: (p | {"2": without(p["2"], "bias")}, X, T),
    "a leaf of another shape": lambda p: (p | {"2": p["0"]}, X, T),
    "a leaf too many": lambda p: (p | {"1": p["0"]}, X, T),
    "no params": lambda p: (None, X, T),
    "a list of params": lambda p: ([*p.values()], X, T),
    "none, in the place of a layer's": lambda p: (p | {"2": None}, X, T),
}


@pytest.mark.refuses
@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_as_by_value_and_grad(bad: str) -> None:
    model, updated = network(fdl.relu), []
    given = BAD[bad](model.init())

    def update(params: fdl.Params, _: fdl.Params) -> fdl.Params:
        updated.append(params)
        return params

    with pytest.raises((TypeError, ValueError)) as theirs:
        fdl.value_and_grad(model, fdl.mse())(*given)
    with pytest.raises((TypeError, ValueError)) as ours:
        fdl.value_and_update(model, fdl.mse(), update)(*given)
    assert ours.type is theirs.type
    assert str(ours.value) == str(theirs.value)
    assert re.match(r"(linear at \d|relu at \d|mse|sequential): expected ", str(ours.value))
    assert updated == []


@pytest.mark.refuses
def test_bad_params_of_a_bare_linear_are_refused_as_by_value_and_grad() -> None:
    model = fdl.linear(3, 2)
    for params in (None, {}, {"0": model.init()}):
        with pytest.raises((TypeError, ValueError)) as theirs:
            fdl.value_and_grad(model, fdl.mse())(params, X, T)
        with pytest.raises(theirs.type) as ours:
            fdl.value_and_update(model, fdl.mse(), SGD)(params, X, T)
        assert str(ours.value) == str(theirs.value)


def test_what_the_update_raises_gets_through_and_the_next_call_is_as_if_it_had_not_been() -> None:
    model, fail = network(fdl.relu), [True]
    params = model.init()

    def update(of_layer: fdl.Params, grads: fdl.Params) -> fdl.Params:
        if fail and not grads:
            fail.clear()
            raise ArithmeticError("no update of nothing")
        return fdl.sgd(of_layer, grads, 0.1)

    f = fdl.value_and_update(model, fdl.mse(), update)
    with pytest.raises(ArithmeticError, match="no update of nothing"):
        f(params, X, T)
    assert same_trees(
        f(params, X, T)[1], fdl.value_and_update(model, fdl.mse(), SGD)(params, X, T)[1]
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: f,
        fdl.sequential,
        lambda f: fdl.sequential(f, f),
        lambda f: fdl.sequential(fdl.sequential(f)),
    ],
    ids=["bare", "one", "two", "nested"],
)
def test_no_gradient_of_the_inputs_is_asked_for(
    wrap: Callable[[fdl.Layer], fdl.Layer],
) -> None:
    asked = []

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[fdl.Params, Tensor | None]:
            asked.append(wrt_input)
            return {}, gy if wrt_input else None

        return x, pullback

    model = wrap(fdl.Layer(lambda *_, **__: {}, lambda params, x: x, vjp))
    f = fdl.value_and_update(model, fdl.mse(), lambda params, grads: params)
    f(model.init(), draw(3, 2), draw(3, 2))
    assert asked.pop() is False
    assert all(asked)
