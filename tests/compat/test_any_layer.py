"""Any layer is a module."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import functional_dl as fdl
from cases import LAYERS, same_bits, same_trees, small
from functional_dl.compat import MSE, SGD, LayerModule, Linear, Module, ReLU, Sequential, Tanh


@fdl.layer
def scale(features: int) -> fdl.Maths:
    """A user's layer: Y = X ⊙ w."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        w = params["weight"]

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Any:
            return {"weight": (gy * x).sum(0)}, gy * w if wrt_input else None

        return x * w, pullback

    return fdl.Maths(vjp, {"weight": (features,)}, lambda p, _: p["weight"].fill_(2))


class Scale(LayerModule):
    """It under a name of its own."""

    def __init__(self, features: int) -> None:
        super().__init__(scale(features))


def bare(maths: Callable[[Tensor, Tensor], tuple[Tensor, Any]], **params: Tensor) -> fdl.Layer:
    """A tuple of functions, which nothing checks; maths takes x and gy to y and cotangents."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        return maths(x, x)[0], lambda gy, *, wrt_input=True: maths(x, gy)[1]

    return fdl.Layer(lambda *_, **__: params, lambda p, x: vjp(p, x)[0], vjp)


def embedding(n: int, features: int) -> fdl.Layer:
    """A user's layer of integers."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Any:
            return {"weight": torch.zeros(n, features).index_add(0, x, gy)}, None

        return params["weight"][x], pullback

    def init(*_: Any, **__: Any) -> fdl.Params:
        return {"weight": torch.arange(n * features).view(n, features).float()}

    return fdl.Layer(init, lambda p, x: vjp(p, x)[0], vjp)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_the_same_as_a_module(name: str) -> None:
    for seed in range(3):
        layer, _, _, x = LAYERS[name].drawn(small(seed, torch.float32))
        torch.manual_seed(0)
        y, pullback = layer.vjp(layer.init(), x)
        grads, gx = pullback(y)
        for wrap in (lambda m: m, Sequential):
            torch.manual_seed(0)
            model = wrap(LayerModule(layer)).eval()
            assert same_bits(model(x), y)
            assert same_trees(model.backward(y), gx)  # which may be None
            expected = fdl.to_state_dict(grads).values()
            assert len(model.grads()) == len(model.parameters()) == len(expected)
            assert all(map(same_bits, model.grads(), expected))


def test_a_users_layer_trains_among_the_librarys_modules() -> None:
    torch.manual_seed(0)
    model, x, t = Sequential(Linear(2, 3), Scale(3), Tanh()), torch.randn(5, 2), torch.randn(5, 3)
    optimizer, criterion = SGD(model.parameters(), model.grads(), 0.1), MSE()
    torch.manual_seed(0)
    core = fdl.sequential(fdl.linear(2, 3), scale(3), fdl.tanh())
    params = core.init()
    for _ in range(3):
        loss = criterion(model(x), t)
        model.backward(criterion.backward())
        optimizer.step()
        optimizer.zero_grad()
        value, grads = fdl.value_and_grad(core, fdl.mse())(params, x, t)
        params = fdl.sgd(params, grads, 0.1)
        assert same_bits(loss, value)
        for ours, theirs in zip(model.parameters(), fdl.tree_leaves(params), strict=True):
            assert same_bits(ours, theirs)


def test_a_composite_layer_is_one_module() -> None:
    model = LayerModule(fdl.sequential(fdl.linear(2, 3), fdl.sequential(fdl.tanh(), scale(3))))
    assert [p.shape for p in model.parameters()] == [(3, 2), (3,), (3,)]
    x = torch.randn(4, 2)
    model.backward(model(x))
    assert all(g.any() for g in model.grads())
    assert [*model.state_dict()] == ["0.weight", "0.bias", "1.1.weight"]


@pytest.mark.parametrize("wrap", [lambda m: m, Sequential, lambda m: Sequential(m, ReLU())])
def test_an_integer_input_has_no_gradient(wrap: Callable[[Module], Module]) -> None:
    module = LayerModule(embedding(3, 2))
    model = wrap(module)
    x = torch.tensor([2, 2, 0])
    assert model(x).tolist() == [[4, 5], [4, 5], [0, 1]]
    assert model.backward(torch.ones(3, 2)) is None
    assert module.grads()[0][2].tolist() == [2, 2]


def test_a_layer_of_whole_numbers_draws_in_training() -> None:
    module = LayerModule(fdl.sequential(fdl.embedding(3, 64), fdl.dropout(0.5)))
    x = torch.tensor([2, 2, 0])
    assert (module(x) == 0).any()
    assert module.eval()(x).all()


def test_a_users_layer_may_go_back_by_autograd() -> None:
    def sine(x: Tensor, gy: Tensor) -> tuple[Tensor, Any]:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return x.sin(), ({}, torch.autograd.grad(leaf.sin(), leaf, gy)[0])

    x = torch.randn(4)
    model = Sequential(LayerModule(bare(sine)), ReLU())
    model(x)
    assert torch.equal(model.backward(torch.ones(4)), x.cos() * (x.sin() > 0))


@fdl.layer
def broadcast() -> fdl.Maths:
    """A layer whose cotangent is of a batch of one."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        return 2 * x, lambda gy, *, wrt_input=True: ({}, 2 * gy[:1])

    return fdl.Maths(vjp)


ONE = torch.ones(3)
WRONG = {
    "gx: shape": (broadcast(), ValueError, "broadcast.backward{}: expected the gradient of x to"),
    "gx: dtype": (
        bare(lambda x, gy: (x, ({}, gy.double()))),
        TypeError,
        "bare.backward{}: expected the gradient of x to be a float32 tensor of shape (4, 3), got a",
    ),
    "gx: None": (
        bare(lambda x, gy: (x, ({}, None))),
        TypeError,
        "bare.backward{}: expected the gradient of x to be a float32 tensor of shape (4, 3), got N",
    ),
    "gx: a list": (
        bare(lambda x, gy: (x, ({}, gy.tolist()))),
        TypeError,
        "bare.backward{}: expected the gradient of x to be a float32 tensor of shape (4, 3), got [",
    ),
    "grads: shape": (
        bare(lambda x, gy: (x, ({"w": gy.sum()}, gy)), w=ONE),
        ValueError,
        "bare.backward{}: expected grads['w'] to be a float32 tensor of shape (3,), got",
    ),
    "grads: dtype": (
        bare(lambda x, gy: (x, ({"w": gy.sum(0).double()}, gy)), w=ONE),
        TypeError,
        "bare.backward{}: expected grads['w'] to be a float32 tensor of shape (3,), got a float64",
    ),
    "grads: keys": (
        bare(lambda x, gy: (x, ({}, gy)), w=ONE),
        ValueError,
        "bare.backward{}: expected grads with the keys ['w'], got []",
    ),
    "y: dtype": (
        bare(lambda x, gy: (x.double(), ({}, gy))),
        TypeError,
        "bare{}: expected y to be a float32 tensor of shape (4, 3), got a float64",
    ),
    "y: a list": (
        bare(lambda x, gy: ([1.0], ({}, gy))),
        TypeError,
        "bare{}: expected y to be a floating tensor, got [1.0]",
    ),
}


@pytest.mark.refuses
@pytest.mark.parametrize(("layer", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_a_users_layer_gives_is_checked(
    layer: fdl.Layer, error: type[Exception], message: str
) -> None:
    x = torch.ones(4, 3)
    linear = Linear(3, 3)
    for place, model in (
        ("", LayerModule(layer)),
        (" at 1", Sequential(linear, LayerModule(layer))),
        (" at 0.1", Sequential(Sequential(linear, LayerModule(layer)), linear)),
    ):
        with pytest.raises(error) as caught:
            model.backward(model(x))
        assert str(caught.value).startswith(message.format(place))
        assert not any(g.any() for g in model.grads())


@pytest.mark.refuses
def test_a_backward_that_autocast_has_cast_is_refused_by_its_place() -> None:
    users = LayerModule(bare(lambda x, gy: (x, ({}, gy))))  # beside it, layers go back one by one
    got = "got a bfloat16 tensor of shape (4, 3), within torch.autocast; convert params and inputs"
    for place, model in (
        ("Linear.backward", Linear(3, 2)),
        ("linear.backward", LayerModule(fdl.linear(3, 2))),
        ("Linear.backward at 0", Sequential(Linear(3, 2), users)),
    ):
        model(torch.ones(4, 3))
        with pytest.raises(TypeError) as caught, torch.autocast("cpu", torch.bfloat16):
            model.backward(torch.ones(4, 2))
        expected = "the gradient of x to be a float32 tensor of shape (4, 3)"
        assert str(caught.value) == f"{place}: expected {expected}, {got} instead"
        assert not any(g.any() for g in model.grads())
