"""What torch is set to around a call, or what is changed between two, gives no other answer."""

import importlib
import pickle
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import functional_dl as fdl
from cases import DTYPES, LAYERS, autograd, beside_linear, default_dtype, same_trees, small
from functional_dl import compat

# Other defaults


@contextmanager
def other_defaults(dtype: torch.dtype) -> Generator[None]:
    """Another default dtype than this one, and a default device that holds no numbers."""
    other = torch.float16 if dtype == torch.float64 else torch.float64
    with default_dtype(other), torch.device("meta"):
        yield


@pytest.fixture
def imported_under_other_defaults() -> Generator[None]:
    """What modules make when they are imported."""
    names = "functional_dl._numerics", "functional_dl.optimizers._operations"
    modules = [sys.modules[name] for name in names]
    with other_defaults(torch.float32):
        for module in modules:
            importlib.reload(module)
    yield
    for module in modules:
        importlib.reload(module)


def drawn(name: str, dtype: torch.dtype) -> tuple[fdl.Layer, fdl.Params, Tensor, Tensor, Tensor]:
    """A layer behind a linear one or before it, params, x, a target and a cotangent."""
    d = small(1, dtype)
    model, _, params, x = beside_linear(name, d)
    y = model.apply(params, x)
    return model, params, x, d.tensor(*y.shape), d.tensor(*y.shape)


def all_of(layer: fdl.Layer, params: fdl.Params, x: Tensor, t: Tensor, gy: Tensor) -> list[Any]:
    """All that comes of a layer."""
    y, pullback = layer.vjp(params, x)
    f, update = fdl.value_and_grad(layer, fdl.mse()), partial(fdl.sgd, lr=0.1)
    value, grads = f(params, x, t)
    steps = fdl.scan(
        lambda p, x: (update(p, f(p, x, t)[1]), value), params, torch.stack([x, x.flip(0)])
    )
    flat = fdl.to_state_dict(params)
    return [
        *(layer.apply(params, x), y, pullback(gy), fdl.mse().vjp(y, t)[1](), value, grads),
        *(
            update(params, grads),
            update(params, fdl.tree_map(torch.clone, grads), donate=True),
            steps,
        ),
        fdl.value_and_update(layer, fdl.mse(), update)(params, x, t),
        *(fdl.from_state_dict(layer, flat), fdl.unstack(fdl.stack([params, grads]))),
        fdl.summary(layer, params),
    ]


@pytest.mark.usefixtures("imported_under_other_defaults")
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_default_dtype_and_device_change_nothing(
    name: str, dtype: torch.dtype, inference: bool
) -> None:
    model, *primals = drawn(name, dtype)
    with torch.inference_mode(inference):
        expected = all_of(model, *primals)
        with other_defaults(dtype):
            made_there = pickle.loads(pickle.dumps(model))
            ours = all_of(made_there, *primals)
    assert same_trees(ours, expected)


@pytest.mark.builds
def test_default_device_changes_nothing_of_a_compiled_scan() -> None:
    def total(carry: Tensor, xs: Tensor) -> tuple[Tensor, Tensor]:
        return fdl.scan(lambda carry, x: (carry + x, carry.sum()), carry, xs)

    torch.compiler.reset()
    carry, xs = torch.rand(3), torch.rand(4, 3)
    with torch.device("meta"):
        compiled = torch.compile(total, backend="eager", fullgraph=True)(carry, xs)
    assert same_trees(compiled, total(carry, xs))


# torch.autocast

AUTOCAST = partial(torch.autocast, "cpu", dtype=torch.bfloat16)


def there(mode: Any, model: fdl.Layer, params: fdl.Params, x: Tensor, t: Tensor, gy: Tensor) -> Any:
    with mode():
        y, pullback = model.vjp(params, x)
    return y, pullback(gy)


def back(mode: Any, model: fdl.Layer, params: fdl.Params, x: Tensor, t: Tensor, gy: Tensor) -> Any:
    _, pullback = model.vjp(params, x)
    with mode():
        return pullback(gy)


def way(f: Callable[..., Any]) -> Callable[..., Any]:
    """All of f within the mode."""

    def within(mode: Any, *primals: Any) -> Any:
        with mode():
            return f(*primals)

    return within


WAYS = {
    "there": there,
    "back": back,
    "apply": way(lambda model, params, x, *_: model.apply(params, x)),
    "value_and_grad": way(
        lambda model, params, x, t, _: fdl.value_and_grad(model, fdl.mse())(params, x, t)
    ),
    "value_and_update": way(
        lambda model, params, x, t, _: fdl.value_and_update(
            model, fdl.mse(), partial(fdl.sgd, lr=0.1)
        )(params, x, t)
    ),
    "sgd": way(lambda model, params, *_: fdl.sgd(params, params, 0.1)),
    "loss": way(lambda model, params, x, t, gy: fdl.mse().vjp(gy, t)[1]()),
}


@pytest.mark.refuses
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LAYERS)
def test_autocast_changes_nothing_or_is_named_as_what_is_wrong(name: str, way: str) -> None:
    model, *primals = drawn(name, torch.float32)
    k = "0" if name == "embedding" else "1"
    for f, params in ((model, primals[0]), (model.layers[k], primals[0][k])):
        expected = WAYS[way](nullcontext, f, params, *primals[1:])
        said = ""
        try:
            ours = WAYS[way](AUTOCAST, f, params, *primals[1:])
        except TypeError as error:
            ours, said = expected, str(error)
        assert same_trees(ours, expected)
        assert not said or "within torch.autocast; convert params and inputs" in said


@fdl.layer
def scale(features: int) -> fdl.Maths:
    """Y = X ⊙ w, which makes half precision single again."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        w = params["weight"]
        return x * w, lambda gy, *, wrt_input=True: ({"weight": (gy * x).sum(0)}, gy * w)

    return fdl.Maths(vjp, {"weight": (features,)}, lambda p, _: p["weight"].fill_(1))


X = torch.rand(5, 3)
LINEAR = fdl.linear(3, 3)
SCALED, RESCALED = fdl.sequential(scale(3), LINEAR), fdl.sequential(LINEAR, scale(3))


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda p: SCALED.vjp(p, X), "linear at 1: expected y to be a float32"),
        (lambda p: SCALED.apply(p, X), "linear at 1: expected y to be a float32"),
        (lambda p: RESCALED.vjp(p, X), "linear at 0: expected y to be a float32"),
        (
            lambda p: LINEAR.vjp(p["1"], X.bfloat16()),
            r"linear: expected params\['weight'\] to be a bfloat16",
        ),
        (
            lambda p: fdl.mse().apply(X @ X.mT, X @ X.mT + X[:, :1]),
            "mse: expected the target to be",
        ),
        (
            lambda p: fdl.sgd({"p": X}, {"p": X.bfloat16()}, 0.1),
            r"sgd: expected grads\['p'\] to be",
        ),
    ],
)
def test_what_autocast_has_cast_is_refused_in_its_name(what: Any, message: str) -> None:
    params = RESCALED.init() if "at 0" in message else SCALED.init()
    said = r"within torch\.autocast; convert params and inputs instead(: x is .*)?"
    with AUTOCAST(), pytest.raises(TypeError, match=rf"^{message}.* tensor .*\), {said}$"):
        what(params)


@pytest.mark.refuses
@pytest.mark.parametrize("wrt_input", [True, False])
def test_a_way_back_through_autocast_is_refused_by_the_layer_or_by_the_optimizer(
    wrt_input: bool,
) -> None:
    params = SCALED.init()
    _, pullback = LINEAR.vjp(params["1"], X)
    message = "linear: expected a gradient to be a float32 .*, within torch.autocast"
    with AUTOCAST(), pytest.raises(TypeError, match=message):
        pullback(X, wrt_input=wrt_input)
    _, pullback = SCALED.vjp(params, X)
    expected = r"the cotangent from layer 1 to be a float32 tensor of shape \(5, 3\)"
    message = rf"sequential: expected {expected}, got .*, within torch\.autocast"
    with AUTOCAST(), pytest.raises(TypeError, match=message):
        pullback(X, wrt_input=wrt_input)
    _, pullback = fdl.sequential(LINEAR).vjp({"0": params["1"]}, X)
    with AUTOCAST():
        grads, _ = pullback(X, wrt_input=False)  # no cotangent comes out that would show it
    with pytest.raises(TypeError, match=r"sgd: expected grads\['0'\]\['weight'\] to be a float32"):
        fdl.sgd({"0": params["1"]}, grads, 0.1)


@pytest.mark.refuses
def test_one_of_parallel_cotangents_through_autocast_is_not_promoted_in_silence() -> None:
    model = fdl.parallel(LINEAR, fdl.sequential())
    _, pullback = model.vjp(model.init(), X)
    message = r"parallel: expected the cotangent from layer 0 to be a float32 .*torch\.autocast"
    with AUTOCAST(), pytest.raises(TypeError, match=message):
        pullback(X)


@pytest.mark.refuses
def test_compat_refuses_autocast_in_its_name() -> None:
    model = compat.Sequential(compat.Linear(3, 3), compat.ReLU())
    with (
        AUTOCAST(),
        pytest.raises(TypeError, match=r"Linear.*: expected y .* within torch.autocast"),
    ):
        model(X)
    model(X)
    message = "expected the .* within torch.autocast"
    with AUTOCAST(), pytest.raises(TypeError, match=message):
        model.backward(X)
    assert not any(g.any() for g in model.grads())


def test_in_half_precision_autocast_has_nothing_to_cast() -> None:
    model, *primals = drawn("tanh", torch.bfloat16)
    expected = WAYS["value_and_grad"](nullcontext, model, *primals)
    assert same_trees(WAYS["value_and_grad"](AUTOCAST, model, *primals), expected)


def test_a_layer_may_keep_params_in_another_dtype_than_its_input() -> None:
    @fdl.layer
    def single(features: int) -> fdl.Maths:
        def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
            w = params["weight"]
            return (x * w).to(x.dtype), lambda gy, *, wrt_input=True: (
                {"weight": (gy * x).sum(0, dtype=w.dtype)},
                (gy * w).to(x.dtype) if wrt_input else None,
            )

        return fdl.Maths(vjp, {"weight": (features,)}, lambda p, _: p["weight"].fill_(1))

    x = X.bfloat16()
    _, pullback = single(3).vjp(single(3).init(), x)
    grads, _ = pullback(x, wrt_input=False)
    assert grads["weight"].dtype == torch.float32


@pytest.mark.refuses
def test_errors_of_tensors_that_no_autocast_is_for_are_as_ever() -> None:
    y = X.to("meta")
    with pytest.raises(TypeError, match=r"mse: expected the target .* of shape \(5, 3\)$"):
        fdl.mse().apply(y, y.double())


# What is changed in place, and what modes leave


@pytest.mark.parametrize("i", [0, 1])
def test_a_pullback_keeps_tensors_and_no_copies(i: int) -> None:
    primals = LINEAR.init(), X.clone()
    _, pullback = LINEAR.vjp(*primals)
    (primals[0]["weight"] if i == 0 else primals[1]).mul_(2)
    assert same_trees(pullback(X), LINEAR.vjp(*primals)[1](X))


OUTSIDE = {
    "loaded": lambda p: nn.Linear(3, 3).load_state_dict(fdl.to_state_dict(p), assign=True),
    "averaged": lambda p: fdl.tree_map(lambda leaf: leaf.lerp_(leaf, 0.1), p),
    "differentiated": lambda p: autograd(lambda x: LINEAR.apply(p, x), X)[1](X),
}


@pytest.mark.parametrize("use", OUTSIDE)
def test_params_made_in_inference_mode_are_ordinary_ones_once_they_are_cloned(use: str) -> None:
    with torch.inference_mode():
        params = LINEAR.init()
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        OUTSIDE[use](params)
    OUTSIDE[use](fdl.tree_map(torch.clone, params))


def trained(module: compat.Module) -> None:
    optimizer, criterion = compat.SGD(module.parameters(), module.grads(), 0.1), compat.MSE()
    criterion(module(X), X)
    module.backward(criterion.backward())
    optimizer.step()


def test_a_module_made_before_inference_mode_is_trained_in_it_and_after_it() -> None:
    module = compat.Linear(3, 3)
    with torch.inference_mode():
        trained(module)
        made_there = compat.Linear(3, 3)
        trained(made_there)
    trained(module)
    with pytest.raises(RuntimeError, match=r"expected to be called under torch.inference_mode"):
        trained(made_there)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, nullcontext])
def test_new_params_of_nn_parameters_hold_no_graph_in_a_mode_or_once_detached(mode: Any) -> None:
    module = nn.Linear(3, 3)
    f, params = fdl.value_and_grad(LINEAR, fdl.mse()), dict(module.named_parameters())
    detached = fdl.from_state_dict(LINEAR, params)
    with mode():
        for p, holds in ((params, mode is nullcontext), (detached, False)):
            new = fdl.sgd(p, f(p, X, X)[1], 0.1)
            assert all(leaf.requires_grad == holds for leaf in new.values())
