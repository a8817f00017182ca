"""Layers of one's own: what `layer` and `loss` make of maths, and what they refuse."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn, ones, rand

import functional_dl as fdl
from cases import autograd, same_trees

SGD = partial(fdl.sgd, lr=0.1)


@fdl.layer
def scale(features: int) -> fdl.Maths:
    """Y = X ⊙ w."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        w = params["weight"]

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Any:
            return {"weight": (gy * x).sum(0)}, gy * w if wrt_input else None

        return x * w, pullback

    return fdl.Maths(vjp, {"weight": (features,)}, lambda p, g: p["weight"].uniform_(generator=g))


@fdl.layer
def residual(inner: fdl.Layer) -> fdl.Maths:
    """Y = X + inner(X)."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        y, pullback_of_inner = inner.vjp(params["inner"], x)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Any:
            grads, gx = pullback_of_inner(gy)
            return {"inner": grads}, gy + gx if wrt_input else None

        return x + y, pullback

    return fdl.Maths(vjp, layers={"inner": inner})


@fdl.layer
def elementwise(
    forward: Callable[[Tensor], Tensor], backward: Callable[[Tensor], Tensor]
) -> fdl.Maths:
    """Y = forward(X), with a way back to try."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        return forward(x), lambda gy, *, wrt_input=True: ({}, backward(gy) if wrt_input else None)

    return fdl.Maths(vjp)


def bare(f: fdl.Layer) -> fdl.Layer:
    """The same functions, but made by no constructor that is known."""
    return fdl.Layer(
        lambda *args, **how: f.init(*args, **how),
        lambda params, x: f.apply(params, x),
        lambda params, x: f.vjp(params, x),
    )


BLOCK = residual(fdl.sequential(scale(4), fdl.linear(4, 4), fdl.tanh()))
MODEL = fdl.sequential(fdl.linear(3, 4), BLOCK, residual(BLOCK), fdl.linear(4, 2))
X, T = rand(5, 3), rand(5, 2)


def test_maths_is_all_that_a_layer_needs() -> None:
    layer = scale(3)
    params = layer.init(torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = rand(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert same_trees(params, {"weight": drawn})
    assert layer.init(device="meta")["weight"].is_meta
    x, gy = rand(2, 5, 3, dtype=torch.float64)
    y, pullback = layer.vjp(params, x)
    their_y, theirs = autograd(torch.mul, x, drawn)
    assert torch.equal(y, their_y)
    assert torch.equal(layer.apply(params, x), their_y)
    gx, weight = theirs(gy)
    assert same_trees(pullback(gy), ({"weight": weight}, gx))


@pytest.mark.long
def test_users_layers_keep_the_contract_and_equal_autograd() -> None:
    params = MODEL.init()
    fdl.check_vjp(MODEL, params, X)
    flat = fdl.to_state_dict(params)

    def block(x: Tensor, p: dict[str, Tensor], path: str) -> Tensor:
        w, b = (p[f"{path}.inner.1.{k}"] for k in ("weight", "bias"))
        return x + nn.functional.linear(x * p[f"{path}.inner.0.weight"], w, b).tanh()

    def loss(*leaves: Tensor) -> Tensor:
        p = dict(zip(flat, leaves, strict=True))
        x = nn.functional.linear(X, p["0.weight"], p["0.bias"])
        x = block(x, p, "1")
        x = x + block(x, p, "2.inner")
        return nn.functional.mse_loss(nn.functional.linear(x, p["3.weight"], p["3.bias"]), T)

    value, grads = fdl.value_and_grad(MODEL, fdl.mse())(params, X, T)
    theirs, pullback = autograd(loss, *flat.values())
    assert torch.equal(value, theirs)
    for ours, grad in zip(fdl.to_state_dict(grads).values(), pullback(), strict=True):
        torch.testing.assert_close(ours, grad)


def test_apply_is_used_where_it_takes_less_than_vjp() -> None:
    called = []

    @fdl.layer
    def doubled() -> fdl.Maths:
        def vjp(params: fdl.Params, x: Tensor) -> Any:
            called.append("vjp")
            return x * 2, lambda gy, *, wrt_input=True: ({}, gy * 2)

        def apply(params: fdl.Params, x: Tensor) -> Tensor:
            called.append("apply")
            return x * 2

        return fdl.Maths(vjp, apply=apply)

    model = fdl.sequential(doubled())
    assert torch.equal(model.apply(model.init(), X), model.vjp(model.init(), X)[0])
    assert called == ["apply", "vjp"]


# Composites


def test_a_composite_has_layers_under_the_keys_of_its_params() -> None:
    assert [*MODEL.layers] == [*MODEL.init()] == ["0", "1", "2", "3"]
    assert MODEL.layers["1"] is BLOCK
    assert [*BLOCK.layers] == ["inner"]
    assert BLOCK.layers["inner"].layers["0"].layers == {}


def test_the_layers_within_are_updated_one_by_one() -> None:
    params, updated = MODEL.init(), []

    def update(params: fdl.Params, grads: fdl.Params) -> fdl.Params:
        updated.append(sorted(grads))
        return SGD(params, grads)

    value, new = fdl.value_and_update(MODEL, fdl.mse(), update)(params, X, T)
    expected, grads = fdl.value_and_grad(MODEL, fdl.mse())(params, X, T)
    assert torch.equal(value, expected)
    assert same_trees(new, SGD(params, grads))
    linear, of_scale, tanh = ["bias", "weight"], ["weight"], []
    assert updated == [linear, *[tanh, linear, of_scale] * 2, linear]


def test_summary_and_state_dicts_see_the_layers_within() -> None:
    params = MODEL.init()
    flat = fdl.to_state_dict(params)
    assert same_trees(fdl.from_state_dict(MODEL, flat), params)
    rows = [row.split()[:2] for row in fdl.summary(MODEL, params).splitlines()]
    for row in (["2", "residual"], ["2.inner", "residual"], ["2.inner.inner.0", "scale"]):
        assert row in rows


# A way back that isn't one

TOO_FEW = "expected the cotangent from layer {} to be a float32 tensor of shape {}, got a float32 "


@pytest.mark.parametrize("made", [lambda f: f, bare], ids=["made by layer", "bare"])
@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (
            lambda f: fdl.sequential(fdl.linear(3, 2), fdl.relu(), f),
            TOO_FEW.format("2", r"\(5, 2\)"),
        ),
        (
            lambda f: fdl.sequential(fdl.linear(3, 2), fdl.sequential(fdl.relu(), f)),
            TOO_FEW.format("1", r"\(5, 2\)"),
        ),
        (
            lambda f: fdl.sequential(fdl.linear(3, 2), fdl.sequential(f), fdl.relu()),
            TOO_FEW.format("0", r"\(5, 2\)"),
        ),
        (
            lambda f: fdl.sequential(fdl.linear(3, 2), residual(fdl.sequential(fdl.relu(), f))),
            TOO_FEW.format("1", r"\(5, 2\)"),
        ),
    ],
    ids=["last", "nested", "nested alone", "in a residual"],
)
def test_a_cotangent_that_would_broadcast_is_refused(
    wrap: Callable[[fdl.Layer], fdl.Layer], said: str, made: Callable[[fdl.Layer], fdl.Layer]
) -> None:
    model = wrap(made(elementwise(torch.sin, lambda gy: gy[:1])))
    params = model.init()
    for f in (
        fdl.value_and_grad(model, fdl.mse()),
        fdl.value_and_update(model, fdl.mse(), SGD),
    ):
        with pytest.raises(ValueError, match=f"^sequential: {said}tensor of shape"):
            f(params, X, T)


def test_a_layer_that_gives_no_cotangent_is_refused() -> None:
    model = fdl.sequential(fdl.linear(3, 2), elementwise(torch.sin, lambda gy: None))
    _, pullback = model.vjp(model.init(), X)
    with pytest.raises(
        TypeError, match=r"^sequential: expected the cotangent from layer 1 .* None"
    ):
        pullback(T)


@pytest.mark.parametrize(
    ("way_back", "error", "got"),
    [
        (lambda gy: gy[:1], ValueError, r"a float32 tensor of shape \(1, 3\)"),
        (lambda gy: gy.double(), TypeError, r"a float64 tensor of shape \(5, 3\)"),
        (lambda gy: None, TypeError, "None"),
    ],
    ids=["of another shape", "of another dtype", "none"],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_branch_that_gives_another_cotangent_than_its_input_is_refused(
    way_back: Callable[[Tensor], Tensor], error: type[Exception], got: str, first: bool
) -> None:
    layers = (elementwise(torch.sin, way_back), fdl.tanh())
    model = fdl.parallel(*layers if first else reversed(layers))
    _, pullback = model.vjp(model.init(), X)
    said = r"the cotangent from layer {} to be a float32 tensor of shape \(5, 3\), got "
    with pytest.raises(error, match=f"^parallel: expected {said.format(1 - first)}{got}"):
        pullback(X)
    assert pullback(X, wrt_input=False) == ({"0": {}, "1": {}}, None)


# Outputs that would broadcast


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda f: fdl.residual(f), r"residual: expected y of its layers to be .*\(5, 3\)"),
        (
            lambda f: fdl.parallel(fdl.relu(), f),
            r"parallel: expected y of layer 1 to be .*\(5, 3\)",
        ),
    ],
)
def test_outputs_of_another_shape_are_not_added(
    model: Callable[[fdl.Layer], fdl.Layer], said: str, features: int
) -> None:
    f = model(fdl.linear(3, features))
    for call in (f.apply, f.vjp):
        with pytest.raises(ValueError, match=rf"^{said}, got .*\(5, {features}\)"):
            call(f.init(), X)


def test_outputs_of_another_dtype_are_not_added() -> None:
    promoted = fdl.relu()._replace(apply=lambda _, x: x.double())
    said = r"^parallel: expected y of layer 1 to be a float32 .*\(5, 3\), got a float64"
    with pytest.raises(TypeError, match=said):
        fdl.parallel(fdl.relu(), promoted).apply({"0": {}, "1": {}}, X)


# What `layer` refuses


def test_a_y_of_another_dtype_is_refused() -> None:
    promoted = elementwise(lambda x: x.double(), lambda gy: gy.float())
    said = r"elementwise{}: expected y to be a float32 tensor of shape \(5, 3\), got a float64 t"
    for model, path in (
        (promoted, ""),
        (fdl.sequential(fdl.relu(), promoted), " at 1"),
        (fdl.sequential(fdl.sequential(promoted), fdl.tanh()), " at 0.0"),
        (residual(promoted), " at inner"),
    ):
        with pytest.raises(TypeError, match="^" + said.format(path)):
            model.vjp(model.init(), X)
    unguarded = promoted._replace(vjp=lambda _, x: (x.double(), None))
    said = r"sequential: expected y of layer 1 to be a float32 .* \(5, 3\), got a float64 tensor"
    with pytest.raises(TypeError, match="^" + said):
        fdl.sequential(fdl.relu(), unguarded).vjp({"0": {}, "1": {}}, X)


def test_an_error_within_a_network_names_the_layer_by_its_path() -> None:
    params = MODEL.init()
    wrong = fdl.tree_map(lambda p: p, params)
    wrong["2"]["inner"]["inner"]["1"]["bias"] = ones(1)
    said = r"^linear at 2\.inner\.inner\.1: expected params\['bias'\] to be a float32 tensor of "
    with pytest.raises(ValueError, match=said):
        MODEL.vjp(wrong, X)
    with pytest.raises(ValueError, match=r"^linear at 0: expected x of shape \(\.\.\., 3\), got"):
        MODEL.vjp(params, T)
    deep = fdl.sequential(fdl.relu(), fdl.sequential(fdl.tanh(), fdl.sequential(fdl.linear(2, 2))))
    with pytest.raises(ValueError, match=r"^linear at 1\.1\.0: expected x of shape \(\.\.\., 2\)"):
        deep.vjp(deep.init(), X)
    for model in (MODEL, bare(MODEL)):
        with pytest.raises(ValueError, match=r"^sequential: expected params with the keys"):
            model.vjp({}, X)


def test_params_are_declared_with_a_draw_or_not_at_all() -> None:
    def vjp(params: fdl.Params, x: Tensor) -> Any: ...

    for name, maths in {
        "no_draw": fdl.Maths(vjp, {"weight": (2,)}),
        "no_params": fdl.Maths(vjp, draw=lambda p, g: None),
        "both": fdl.Maths(vjp, {"weight": (2,)}, lambda p, g: None, {"0": fdl.relu()}),
    }.items():

        def constructor(layer: Any = None, maths: fdl.Maths = maths) -> fdl.Maths:
            return maths

        constructor.__name__ = name
        with pytest.raises(TypeError, match=f"^{name}: expected params with a draw, or layers"):
            fdl.layer(constructor)(*(maths.layers or {}).values())


def test_a_composites_layers_are_its_arguments() -> None:
    @fdl.layer
    def twice(f: fdl.Layer) -> fdl.Maths:
        return fdl.Maths(f.vjp, layers={"0": f, "1": f})

    @fdl.layer
    def hidden(features: int) -> fdl.Maths:
        return fdl.Maths(fdl.relu().vjp, layers={"0": fdl.linear(features, features)})

    @fdl.layer
    def swapped(a: fdl.Layer, b: fdl.Layer) -> fdl.Maths:
        return fdl.Maths(a.vjp, layers={"0": b, "1": a})

    for name, make in {
        "twice": lambda: twice(fdl.relu()),
        "hidden": lambda: hidden(3),
        "swapped": lambda: swapped(fdl.relu(), fdl.tanh()),
    }.items():
        said = f"^{name}: expected its layers to be those among its arguments"
        with pytest.raises(TypeError, match=said):
            make()


def test_a_loss_of_ones_own_is_checked_and_trained_with() -> None:
    @fdl.loss
    def total() -> fdl.LossVjp:
        def vjp(y: Tensor, t: Tensor) -> tuple[Tensor, fdl.LossPullback]:
            return (y - t).square().sum(), lambda: 2 * (y - t)

        return vjp

    fdl.check_vjp(total(), X, X + 1)
    value, grads = fdl.value_and_grad(MODEL, total())(MODEL.init(), X, T)
    assert value.dim() == 0
    assert [*grads] == ["0", "1", "2", "3"]
    with pytest.raises(ValueError, match=r"^total: expected the target to be a float32 tensor of"):
        total().apply(X, X[0])
    with pytest.raises(TypeError, match=r"^total: expected the prediction to be a floating tensor"):
        total().vjp(X.long(), X)


@fdl.layer
def blend(share: float, inner: fdl.Layer, *, offset: float) -> fdl.Maths:
    """Y = share · inner(X) + offset."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        y, pullback_of_inner = inner.vjp(params["inner"], x)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Any:
            grads, gx = pullback_of_inner(gy * share, wrt_input=wrt_input)
            return {"inner": grads}, gx

        return y * share + offset, pullback

    return fdl.Maths(vjp, layers={"inner": inner})


def test_a_composite_is_made_anew_with_all_its_arguments() -> None:
    model = blend(0.25, fdl.linear(3, 2), offset=2.0)
    params = model.init()
    value, grads = fdl.value_and_grad(model, fdl.mse())(params, X, T)
    ours = fdl.value_and_update(model, fdl.mse(), SGD)(params, X, T)
    assert same_trees(ours, (value, SGD(params, grads)))


def test_a_bare_layer_in_a_composite_is_updated() -> None:
    model = fdl.sequential(fdl.linear(3, 2), residual(bare(fdl.linear(2, 2))))
    params = model.init()
    value, grads = fdl.value_and_grad(model, fdl.mse())(params, X, T)
    ours = fdl.value_and_update(model, fdl.mse(), SGD)(params, X, T)
    assert same_trees(ours, (value, SGD(params, grads)))


def test_a_layer_may_consist_of_the_methods_of_an_object() -> None:
    class Doubled:
        def init(self, *_: Any, **__: Any) -> fdl.Params:
            return {}

        def apply(self, params: fdl.Params, x: Tensor) -> Tensor:
            return self.vjp(params, x)[0]

        def vjp(self, _: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
            return 2 * x, lambda gy, *, wrt_input=True: ({}, 2 * gy if wrt_input else None)

    doubled = Doubled()
    model = fdl.sequential(fdl.linear(3, 2), fdl.Layer(doubled.init, doubled.apply, doubled.vjp))
    assert model.layers["1"].layers == {}
    fdl.check_vjp(model, model.init(), X)


@pytest.mark.refuses
def test_what_is_wrong_beside_a_bare_layer_is_told() -> None:
    model = fdl.sequential(bare(fdl.linear(3, 4)), fdl.linear(5, 2))
    with pytest.raises(ValueError, match=r"linear at 1: expected x of shape \(\.\.\., 5\)"):
        model.vjp(model.init(), X)
    takes_integers = fdl.relu()._replace(vjp=lambda _, x: (x, None))
    with pytest.raises(TypeError, match=r"^sequential: expected x to be a floating tensor, got"):
        fdl.sequential(takes_integers).vjp({"0": {}}, X.long())
