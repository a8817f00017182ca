"""A tied leaf is one in params and in state, has all its gradients, and all its names in files."""

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import functional_dl as fdl
from cases import Parallel, Residual, by_autograd, same_bits, same_trees
from functional_dl import compat
from functional_dl.export import to_onnx

SGD = partial(fdl.sgd, lr=0.1)
ADAM = fdl.adam(weight_decay=0.1, decoupled=True)
X, T = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))


class Theirs:
    """PyTorch's modules under our names."""

    linear, tanh, sequential, residual, parallel = (
        *(nn.Linear, nn.Tanh, nn.Sequential, Residual, Parallel),
    )
    rms_norm = staticmethod(partial(nn.RMSNorm, eps=1e-5))


def three(m: Any) -> list[Any]:
    """Layers."""
    return [m.linear(3, 3), m.tanh(), m.linear(3, 3)]


def deep(m: Any) -> Any:
    """A layer one down."""
    return m.sequential(m.tanh(), m.linear(3, 3))


FORMS: dict[str, tuple[Callable[[Any], Any], dict[str, str]]] = {
    "a weight": (lambda m: m.sequential(*three(m)), {"2.weight": "0.weight"}),
    "all of a layer": (
        lambda m: m.sequential(*three(m)),
        {"2.weight": "0.weight", "2.bias": "0.bias"},
    ),
    "three places, in another order": (
        lambda m: m.sequential(*three(m), *three(m)),
        {
            "5.weight": "0.weight",
            "3.bias": "2.bias",
            "2.weight": "0.weight",
            "3.weight": "0.weight",
        },
    ),
    "deep": (
        lambda m: m.sequential(m.linear(3, 3), m.residual(deep(m), m.rms_norm(3)), deep(m)),
        {"1.0.1.weight": "0.weight", "2.1.weight": "0.weight", "2.1.bias": "1.0.1.bias"},
    ),
    "within one part": (
        lambda m: m.sequential(m.linear(3, 3), m.sequential(deep(m), deep(m))),
        {"1.1.1.weight": "1.0.1.weight"},
    ),
    "in parallel": (lambda m: m.parallel(m.linear(3, 3), deep(m)), {"1.1.weight": "0.weight"}),
}
MODELS = {name: fdl.tied(f(fdl), ties) for name, (f, ties) in FORMS.items()} | {
    "within": fdl.sequential(
        fdl.tied(fdl.sequential(*three(fdl)), {"2.weight": "0.weight"}), fdl.linear(3, 3)
    ),
    "tied again": fdl.tied(
        fdl.sequential(
            fdl.tied(fdl.sequential(*three(fdl)), {"2.weight": "0.weight"}), fdl.linear(3, 3)
        ),
        {"1.weight": "0.0.weight"},
    ),
}
each_model = pytest.mark.parametrize("name", MODELS)


def leaves_of(name: str) -> tuple[fdl.Params, dict[str, Tensor]]:
    """Params, and the leaves under all names."""
    params = MODELS[name].init(torch.Generator().manual_seed(0))
    return params, fdl.to_state_dict(params, MODELS[name])


# One leaf


def twin(name: str) -> nn.Module:
    """PyTorch's modules, where one parameter is in several places."""
    f, ties = FORMS[name]
    module = f(Theirs)
    for path, of in ties.items():
        place, _, leaf = path.rpartition(".")
        setattr(module.get_submodule(place), leaf, module.get_parameter(of))
    return module


@pytest.mark.parametrize("name", FORMS)
def test_params_are_those_of_f_without_the_leaves_that_others_stand_for(name: str) -> None:
    f, ties = FORMS[name]
    params, flat = leaves_of(name)
    whole = fdl.to_state_dict(f(fdl).init(torch.Generator().manual_seed(0)))
    assert {*flat} == {*whole}
    assert [*fdl.to_state_dict(params)] == [k for k in whole if k not in ties]
    for path, leaf in flat.items():
        of = ties.get(path, path)
        assert leaf.data_ptr() == flat[of].data_ptr()
        assert same_bits(leaf, whole[of])


def test_params_are_of_the_dtype_and_on_the_device_that_are_asked_for() -> None:
    for p in fdl.tree_leaves(MODELS["deep"].init(dtype=torch.float64, device="meta")):
        assert p.is_meta
        assert p.dtype == torch.float64


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_gradients_of_all_places_add_up_as_autograd_adds_them(name: str, inference: bool) -> None:
    params, _ = leaves_of(name)
    names = [*fdl.to_state_dict(params)]
    gy, theirs = by_autograd(twin(name), params, names, X, lambda y: T)
    with torch.inference_mode(inference):
        y, pullback = MODELS[name].vjp(params, X)
        grads, gx = pullback(gy)
        without = pullback(gy, wrt_input=False)
    assert same_trees({"y": y, "gx": gx, **fdl.to_state_dict(grads)}, theirs)
    assert same_bits(MODELS[name].apply(params, X), y)
    assert same_trees(without, (grads, None))


@each_model
def test_gradients_are_derivatives(name: str) -> None:
    params = MODELS[name].init(torch.Generator().manual_seed(0), dtype=torch.float64)
    fdl.check_vjp(MODELS[name], params, X.double())


# Steps


@each_model
@pytest.mark.parametrize("inference", [False, True])
def test_value_and_update_has_the_bits_of_value_and_grad_and_the_update(
    name: str, inference: bool
) -> None:
    model = MODELS[name]
    f, by_layer = fdl.value_and_grad(model, fdl.mse()), fdl.value_and_update(model, fdl.mse(), SGD)
    with_state = fdl.value_and_update(model, fdl.mse(), ADAM)
    with torch.inference_mode(inference):
        params, _ = leaves_of(name)
        value, grads = f(params, X, T)
        assert same_trees(by_layer(params, X, T), (value, SGD(params, grads)))
        state = ADAM.init(params)
        ours, our_state = params, state
        for _ in range(3):
            value, grads = f(params, X, T)
            params, state = ADAM.update(params, grads, state, 0.1)
            our_value, ours, our_state = with_state(ours, X, T, our_state, 0.1, donate=inference)
            assert same_trees([our_value, ours, our_state], [value, params, state])


def test_it_trains_as_pytorchs_with_one_parameter_in_two_places() -> None:
    params, flat = leaves_of("all of a layer")
    model, module = MODELS["all of a layer"], twin("all of a layer")
    module.load_state_dict(flat)
    optimizer = torch.optim.AdamW(module.parameters(), 0.1, weight_decay=0.1)
    state, f = ADAM.init(params), fdl.value_and_grad(model, fdl.mse())
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.mse_loss(module(X), T).backward()
        optimizer.step()
        _, grads = f(params, X, T)
        params, state = ADAM.update(params, grads, state, 0.1)
    assert same_trees(fdl.to_state_dict(params, model), dict(module.state_dict()))
    remembered = optimizer.state[module[0].weight]["exp_avg"]
    assert same_bits(fdl.to_state_dict(state)["exp_avg.0.weight"], remembered)


# State dicts


@pytest.mark.parametrize("name", FORMS)
def test_state_dicts_go_both_ways(name: str) -> None:
    params, flat = leaves_of(name)
    module = twin(name)
    module.load_state_dict(flat, strict=True)
    assert same_bits(module(X).detach(), MODELS[name].apply(params, X))
    back = fdl.from_state_dict(MODELS[name], module.state_dict())
    assert same_trees(back, params)
    assert same_trees(fdl.from_state_dict(MODELS[name], fdl.to_state_dict(params)), params)
    copies = {k: p.clone() for k, p in flat.items()}  # as from a file
    assert same_trees(fdl.from_state_dict(MODELS[name], copies), params)


def test_a_state_dict_whose_tied_tensors_are_unlike_is_refused() -> None:
    _, flat = leaves_of("a weight")
    for other in (flat["2.weight"] + 1, flat["2.weight"][:2]):
        message = "from_state_dict: expected '2.weight' to be '0.weight', with which it is tied"
        with pytest.raises(ValueError, match=message):
            fdl.from_state_dict(MODELS["a weight"], flat | {"2.weight": other})
    with pytest.raises(ValueError, match=r"surplus '2\.weight'"):
        fdl.from_state_dict(fdl.sequential(fdl.linear(3, 3)), flat)
    nan = {k: torch.full_like(p, torch.nan) for k, p in flat.items()}
    fdl.from_state_dict(MODELS["a weight"], nan)


def test_many_networks_are_stacked() -> None:
    model = MODELS["deep"]
    members = [model.init(torch.Generator().manual_seed(i), dtype=torch.float64) for i in range(3)]
    stacked = fdl.stack(members)
    f = fdl.value_and_grad(model, fdl.mse())
    together = torch.vmap(f, (0, None, None))(stacked, X.double(), T.double())
    for member, ours in zip(members, fdl.unstack(together), strict=True):
        # Products over many networks sum in another order, in float64.
        torch.testing.assert_close(ours, f(member, X.double(), T.double()))
    flat = fdl.to_state_dict(stacked, model)
    assert same_trees(fdl.from_state_dict(model, flat), stacked)


# As any layer


def test_its_layers_draw_from_the_generator_that_it_is_handed() -> None:
    f = fdl.sequential(fdl.linear(3, 3), fdl.dropout(0.5), fdl.linear(3, 3))
    model = fdl.tied(f, {"2.weight": "0.weight"})
    params = model.init()
    filled = params | {"2": params["2"] | {"weight": params["0"]["weight"]}}
    drawn = model.vjp(params, X, torch.Generator().manual_seed(1))[0]
    assert same_bits(drawn, f.vjp(filled, X, torch.Generator().manual_seed(1))[0])
    assert not torch.equal(drawn, model.apply(params, X))


def test_frozen_it_has_no_params_and_the_same_cotangent() -> None:
    for name, model in MODELS.items():
        params, _ = leaves_of(name)
        y, pullback = model.vjp(params, X)
        frozen_y, pullback_of_frozen = fdl.frozen(model, params).vjp({}, X)
        assert same_bits(frozen_y, y)
        assert same_trees(pullback_of_frozen(T), ({}, pullback(T)[1]))


@each_model
def test_it_is_traced_to_the_bit(name: str) -> None:
    params, _ = leaves_of(name)
    for step, given in (
        (fdl.value_and_update(MODELS[name], fdl.mse(), SGD), ()),
        (fdl.value_and_update(MODELS[name], fdl.mse(), ADAM), (ADAM.init(params), 0.1)),
    ):
        traced = fdl.trace(step, params, X, T, *given)
        assert same_trees(traced(params, X, T, *given), step(params, X, T, *given))
        assert traced.fallbacks == 0


@pytest.mark.builds
def test_it_is_compiled_as_one_graph() -> None:
    torch.compiler.reset()
    params, _ = leaves_of("deep")
    step = fdl.value_and_update(MODELS["deep"], fdl.mse(), SGD)
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    assert same_trees(compiled(params, X, T), step(params, X, T))


@each_model
def test_it_is_pickled_printed_and_summed_up(name: str) -> None:
    params, _ = leaves_of(name)
    again = pickle.loads(pickle.dumps(MODELS[name]))
    assert repr(again) == repr(MODELS[name])
    assert same_trees(again.vjp(params, X)[1](T), MODELS[name].vjp(params, X)[1](T))
    count = sum(p.numel() for p in fdl.tree_leaves(params))
    assert fdl.summary(MODELS[name], params, "plain").split()[-2:] == [f"{count}", f"{4 * count}"]


def test_it_is_printed_as_its_call() -> None:
    model = fdl.tied(fdl.sequential(fdl.linear(3, 3), fdl.linear(3, 3)), {"1.bias": "0.bias"})
    printed = "tied(sequential(\n  0: linear(3, 3)\n  1: linear(3, 3)\n), {'1.bias': '0.bias'})"
    assert repr(model) == printed


@pytest.mark.builds
@pytest.mark.usefixtures("quick_exports")
def test_it_is_exported(tmp_path: Path) -> None:
    params, _ = leaves_of("deep")
    f = fdl.value_and_grad(MODELS["deep"], fdl.mse())

    def step(params: fdl.Params, x: Tensor, t: Tensor) -> tuple[fdl.Params, Tensor]:
        loss, grads = f(params, x, t)
        return fdl.sgd(params, grads, 0.1), loss

    to_onnx(step, (params, X, T), tmp_path / "step.onnx")  # which compares


def test_it_is_a_module_of_compat() -> None:
    model = MODELS["all of a layer"]
    module = compat.LayerModule(model)
    first = dict(zip(("weight", "bias"), module.parameters(), strict=True))
    params = {"0": first, "1": {}, "2": {}}
    y, pullback = model.vjp(params, X)
    assert same_bits(module(X), y)
    assert module.state_dict().keys() == fdl.to_state_dict(params, model).keys()
    grads, gx = pullback(T)
    assert same_bits(module.backward(T), gx)
    assert same_trees(module.grads(), fdl.tree_leaves(grads))


# What is refused

F = fdl.sequential(fdl.linear(3, 3), fdl.tanh(), fdl.linear(3, 3), fdl.linear(3, 2))
W = torch.ones(3, 3)
WHOLE = F.init()
SHAPES = fdl.tree_map(lambda p: tuple(p.shape), WHOLE)
MODEL = fdl.tied(F, {"2.weight": "0.weight"})
BAD = [
    (
        lambda: fdl.tied(print, {}),
        TypeError,
        "tied: expected f to be a Layer, got <built-in function print>",
    ),
    (
        lambda: fdl.tied(F, ["2.weight"]),
        TypeError,
        "tied: expected leaves to be a dict of paths, got ['2.weight']",
    ),
    *[
        (
            lambda path=path, of=of: fdl.tied(F, {path: of}),
            ValueError,
            f"tied: expected leaves of f, got {path!r}: {of!r}",
        )
        for path, of in (
            ("2.scale", "0.weight"),
            ("2.weight", "9.weight"),
            ("2", "0"),
            ("1.weight", "0.weight"),
            ("2.weight.0", "0.weight"),
            ("", "0.weight"),
            (2, "0.weight"),
        )
    ],
    (
        lambda: fdl.tied(F, {"3.weight": "0.weight"}),
        ValueError,
        "tied: expected '0.weight' to come before '3.weight' and to be of its shape, (2, 3), "
        "got (3, 3)",
    ),
    (
        lambda: fdl.tied(F, {"0.weight": "2.weight"}),
        ValueError,
        "tied: expected '2.weight' to come before '0.weight' and to be of its shape, (3, 3), "
        "got (3, 3)",
    ),
    (
        lambda: fdl.tied(F, {"0.weight": "0.weight"}),
        ValueError,
        "tied: expected leaves of two layers, got '0.weight': '0.weight'",
    ),
    (
        lambda: fdl.tied(fdl.linear(1, 1), {"bias": "weight"}),
        ValueError,
        "tied: expected leaves of two layers, got 'bias': 'weight'",
    ),
    (
        lambda: fdl.tied(
            fdl.sequential(*[fdl.linear(1, 1)] * 3), {"1.bias": "0.bias", "2.bias": "1.bias"}
        ),
        ValueError,
        "tied: expected a leaf that stays, got '2.bias': '1.bias'",
    ),
    *[
        (
            lambda f=f, params=params: f(params, X),
            ValueError,
            "tied: expected params with '0.weight' and without '2.weight', for which it stands, "
            f"got {shapes}",
        )
        for params, shapes in (
            (WHOLE, SHAPES),
            (WHOLE | {"0": {}, "2": {"bias": W[0]}}, SHAPES | {"0": {}, "2": {"bias": (3,)}}),
            ({}, {}),
            ({"0": None, "2": {}}, {"0": None, "2": {}}),
        )
        for f in (MODEL.apply, MODEL.vjp)
    ],
    (
        lambda: MODEL.vjp(MODEL.init() | {"0": {"weight": W[:2], "bias": W[0]}}, X),
        ValueError,
        "linear at 0: expected params['weight'] to be a float32 tensor of shape (3, 3), "
        "got a float32 tensor of shape (2, 3)",
    ),
    (
        lambda: MODEL.vjp(MODEL.init(), X.long()),
        TypeError,
        "linear at 0: expected x to be a floating tensor, got a int64 tensor of shape (5, 3)",
    ),
    (
        lambda: MODEL.vjp(MODEL.init(), X)[1](T),
        ValueError,
        "sequential: expected the cotangent to be a float32 tensor of shape (5, 2), "
        "got a float32 tensor of shape (5, 3)",
    ),
]


@pytest.mark.refuses
@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_by_name(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
