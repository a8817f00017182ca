"""What `functional_dl.contract` promises, of every layer and loss."""

import sys
import weakref
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import functional_dl as fdl
from cases import (
    DTYPES,
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    Draw,
    LayerCase,
    autograd,
    copied,
    default_dtype,
    same_bits,
    same_trees,
    small,
)

CASES = LAYERS | LOSSES
RANDOMS = st.randoms(use_true_random=False)


def cotangents(name: str, d: Draw, y: Tensor) -> list[Tensor]:
    """What the pullback takes: nothing, if it is a loss's."""
    return [copied(d.tensor(*y.shape))] if isinstance(CASES[name], LayerCase) else []


@pytest.mark.parametrize("name", CASES)
@given(rng=RANDOMS)
def test_a_pullback_gives_the_same_again_whatever_came_between(name: str, rng: Random) -> None:
    d = Draw(rng)
    f, _, *primals = CASES[name].drawn(d)
    others = fdl.tree_map(lambda t: -t if t.is_floating_point() else t, primals)
    with torch.inference_mode(rng.random() < 0.5):
        y, pullback = f.vjp(*primals)
        gy = cotangents(name, d, y)
        first = pullback(*gy)
        f.vjp(*others)[1](*(-g for g in gy))
        assert same_trees(pullback(*gy), first)


@pytest.mark.parametrize("name", CASES)
@given(rng=RANDOMS)
def test_nothing_passed_in_is_changed(name: str, rng: Random) -> None:
    d = Draw(rng)
    f, _, *primals = CASES[name].drawn(d)
    with torch.inference_mode(rng.random() < 0.5):
        y, pullback = f.vjp(*primals)
        passed = primals, cotangents(name, d, y)
        before = fdl.tree_map(torch.clone, passed)
        f.apply(*primals)
        pullback(*passed[1])
    assert same_trees(passed, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(rng=RANDOMS)
def test_an_optimizer_changes_nothing(name: str, rng: Random) -> None:
    d = Draw(rng)
    params, grads = ({"0": {"p": d.tensor(3, 2), "q": d.tensor(3)}} for _ in range(2))
    optimizer = OPTIMIZERS[name].ours(**OPTIMIZERS[name].options(rng))
    state = optimizer.init(params)
    before = fdl.tree_map(torch.clone, [params, grads, state])
    with torch.inference_mode(rng.random() < 0.5):
        for lr in (0.1, torch.tensor(0.1)):
            optimizer.update(params, grads, state, lr)
    assert same_trees([params, grads, state], before)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_its_gradient_is_its_derivative(name: str, seed: int) -> None:
    f, _, *primals = CASES[name].drawn(small(seed, torch.float32))
    fdl.check_vjp(f, *primals)


@pytest.mark.parametrize("name", LAYERS)
@given(rng=RANDOMS)
def test_without_wrt_input_there_is_no_input_gradient(name: str, rng: Random) -> None:
    d = Draw(rng)
    layer, _, params, x = LAYERS[name].drawn(d)
    y, pullback = layer.vjp(params, x)
    grads, gx = pullback(d.tensor(*y.shape), wrt_input=False)
    assert gx is None
    assert [*fdl.to_state_dict(grads)] == [*fdl.to_state_dict(params)]


def test_an_empty_sequential_passes_its_input_on() -> None:
    x, gy = torch.rand(2, 4, 3)
    y, pullback = fdl.sequential().vjp({}, x)
    assert y is x
    assert pullback(gy)[1] is gy
    assert pullback(gy, wrt_input=False) == ({}, None)


def test_value_and_grad_asks_for_no_input_gradient_that_no_params_need() -> None:
    asked = []

    def vjp(_: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[fdl.Params, Tensor]:
            asked.append(wrt_input)
            return {}, gy

        return x, pullback

    spy, x = fdl.Layer(fdl.relu().init, lambda _, x: x, vjp), torch.rand(4, 3)
    model = fdl.sequential(spy, spy, fdl.linear(3, 3), spy)
    _, grads = fdl.value_and_grad(model, fdl.mse())(model.init(), x, x)
    assert asked == [True]
    assert [*grads] == ["0", "1", "2", "3"]
    fdl.value_and_grad(spy, fdl.mse())({}, x, x)
    assert asked[1:] == [False]


def test_layers_keep_the_order_of_construction_with_more_than_ten() -> None:
    model = fdl.sequential(*(fdl.linear(1, 1) for _ in range(12)))
    params = model.init()
    y, pullback = model.vjp(params, torch.ones(1, 1))
    grads, _ = pullback(y)
    theirs = nn.Sequential(*(nn.Linear(1, 1) for _ in range(12))).state_dict()
    for tree in (params, grads, fdl.sgd(params, grads, 0.1)):
        assert list(fdl.to_state_dict(tree)) == list(theirs)


# Drawing params


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_init_draws_what_torch_draws(name: str, dtype: torch.dtype) -> None:
    for seed in range(10):
        d = Draw(Random(seed), dtype)
        args = LAYERS[name].args(d, LAYERS[name].shape(d))
        torch.manual_seed(seed)
        with default_dtype(dtype):
            theirs = dict(LAYERS[name].theirs(*args).state_dict())
        layer = LAYERS[name].ours(*args)
        torch.manual_seed(seed)
        for generator in (None, torch.Generator().manual_seed(seed)):
            params = layer.init(generator, dtype=dtype)
            assert same_trees(fdl.to_state_dict(params), theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("a", [1, 2, 3, 7, 49])
def test_a_linears_init_rounds_as_torchs(a: int, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    theirs = nn.Sequential(nn.Linear(a, 5, dtype=dtype), nn.Linear(5, 2, bias=False, dtype=dtype))
    model = fdl.sequential(fdl.linear(a, 5), fdl.linear(5, 2, bias=False))
    torch.manual_seed(3)
    assert same_trees(fdl.to_state_dict(model.init(dtype=dtype)), dict(theirs.state_dict()))


@pytest.mark.parametrize("name", LAYERS)
def test_init_and_all_that_follows_stay_on_the_device(name: str) -> None:
    for seed in range(3):
        layer, _, params, x = LAYERS[name].drawn(small(seed))
        dtype = layer.apply(params, x).dtype
        params, x = layer.init(device="meta", dtype=dtype), x.to("meta")
        loss, grads = fdl.value_and_grad(layer, fdl.mse())(params, x, layer.apply(params, x))
        _, gx = layer.vjp(params, x)[1](layer.apply(params, x))
        found = [loss, *fdl.tree_leaves([params, fdl.sgd(params, grads, 0.1)])]
        for t in found if gx is None else [gx, *found]:
            assert t.is_meta
            assert t.dtype == dtype


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_in_half_precision_have_the_dtype_of_what_they_are_of(name: str) -> None:
    for seed in range(3):
        layer, _, params, x = LAYERS[name].drawn(small(seed, torch.bfloat16))
        y, pullback = layer.vjp(params, x)
        grads, gx = pullback(y)
        for t in [y, *fdl.tree_leaves(grads), *([] if gx is None else [gx])]:
            assert t.dtype == torch.bfloat16


# What is kept


@pytest.mark.memory
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 4, 3)])
def test_a_linears_pullback_does_not_keep_its_output(
    shape: tuple[int, ...], bias: bool, inference: bool
) -> None:
    layer, x = fdl.linear(3, 2, bias), torch.ones(shape)
    with torch.inference_mode(inference):
        y, pullback = layer.vjp(layer.init(), x)
        gy, output = torch.ones_like(y), weakref.ref(y)
        del y
        assert output() is None
        assert pullback(gy)[1].shape == shape


@pytest.mark.memory
@pytest.mark.parametrize("activation", [fdl.relu, fdl.tanh, fdl.relu_squared, fdl.gelu])
@pytest.mark.parametrize("inference", [False, True])
def test_an_activations_pullback_does_not_keep_its_input(
    activation: Callable[[], fdl.Layer], inference: bool
) -> None:
    with torch.inference_mode(inference):
        x = torch.ones(4, 3)
        kept = weakref.ref(x)
        _, pullback = activation().vjp({}, x)
        del x
        assert kept() is None
        assert pullback(torch.ones(4, 3))[1].shape == (4, 3)


@pytest.mark.memory
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("loss", [fdl.mse(), fdl.l1(), fdl.huber(), fdl.cross_entropy()], ids=repr)
def test_a_losss_pullback_keeps_neither_its_prediction_nor_numbers_to_meet(
    loss: fdl.Loss, inference: bool
) -> None:
    of_classes = repr(loss) == "cross_entropy()"
    with torch.inference_mode(inference):
        y, t = (
            torch.rand(4, 3),
            torch.ones(4, dtype=torch.int64) if of_classes else torch.ones(4, 3),
        )
        kept = [weakref.ref(p) for p in (y, t) if p.is_floating_point()]
        _, pullback = loss.vjp(y, t)
        del y, t
        assert [ref() for ref in kept] == [None] * len(kept)
        assert pullback().shape == (4, 3)


class Operations(TorchDispatchMode):
    """Counts them."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(f: Callable[..., Any], *args: Any) -> int:
    """How many f takes."""
    with Operations() as mode:
        f(*args)
    return mode.count


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelus_derivative_is_not_computed_where_nobody_asks_for_a_way_back(
    approximate: str,
) -> None:
    layer, x = fdl.gelu(approximate), torch.ones(3)
    assert operations(layer.apply, {}, x) < operations(layer.vjp, {}, x)


def test_layer_norm_computes_its_moments_once_where_nothing_is_differentiated_again() -> None:
    layer, x = fdl.layer_norm(3), torch.ones(4, 3)
    params = layer.init()
    outside = operations(layer.vjp, params, x)
    with torch.inference_mode():
        assert operations(layer.vjp, params, x) < outside


# Whatever keeps to the contract is a layer


def test_a_users_layer_is_a_layer() -> None:
    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        return x * params["weight"], lambda gy, *, wrt_input=True: (
            {"weight": (gy * x).sum(0)},
            gy * params["weight"] if wrt_input else None,
        )

    scale = fdl.Layer(
        lambda *_, **__: {"weight": 2 * torch.ones(3)}, lambda p, x: vjp(p, x)[0], vjp
    )
    model, x, gy = fdl.sequential(scale, fdl.linear(3, 2)), torch.randn(7, 3), torch.randn(7, 2)
    params = model.init()
    grads, gx = model.vjp(params, x)[1](gy)
    weight, inner = torch.full((3,), 2.0), params["1"]
    their_gx, their_weight = autograd(
        lambda x, w: nn.functional.linear(x * w, inner["weight"], inner["bias"]), x, weight
    )[1](gy)
    assert torch.equal(gx, their_gx)
    assert torch.equal(grads["0"]["weight"], their_weight)


def test_tanh_made_under_another_default_device_works_on_this_one() -> None:
    x = torch.randn(4, 3)
    with torch.device("meta"):
        layer = fdl.tanh()
    assert same_bits(layer.vjp({}, x)[1](x)[1], fdl.tanh().vjp({}, x)[1](x)[1])


def test_relu_while_traced_is_the_same_relu(monkeypatch: pytest.MonkeyPatch) -> None:
    special = torch.tensor([0.0, -0.0, torch.nan, -torch.nan, torch.inf, -torch.inf, 1, -1, 0.5])
    x, gy = torch.meshgrid(special, special, indexing="ij")
    expected = fdl.relu().vjp({}, x)[1](gy)[1]
    monkeypatch.setattr(sys.modules["functional_dl._numerics"], "is_compiling", lambda: True)
    assert same_bits(fdl.relu().vjp({}, x)[1](gy)[1], expected)
