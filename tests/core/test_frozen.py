"""What is frozen or drawn otherwise is the same layer in all else."""

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

import functional_dl as fdl
from cases import same_bits, same_trees

X, GY = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
BACKBONE = fdl.sequential(fdl.linear(3, 4), fdl.tanh(), fdl.residual(fdl.linear(4, 4)))
PARAMS = BACKBONE.init(torch.Generator().manual_seed(1))


def scale(features: int) -> fdl.Layer:
    """A layer without a `through`."""

    @fdl.layer
    def scale() -> fdl.Maths:
        def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
            w = params["weight"]

            def pullback(gy: Tensor, *, wrt_input: bool = True) -> fdl.Cotangents:
                return {"weight": (gy * x).sum(0)}, gy * w if wrt_input else None

            return x * w, pullback

        return fdl.Maths(vjp, {"weight": (features,)}, lambda p, _: p["weight"].fill_(2))

    return scale()


def bare(f: fdl.Layer) -> fdl.Layer:
    """The same functions, of which nothing else is known."""
    return fdl.Layer(*(lambda *args, g=g, **kwargs: g(*args, **kwargs) for g in f))


@pytest.mark.parametrize(
    "within",
    [BACKBONE, fdl.sequential(BACKBONE, scale(4)), bare(BACKBONE)],
    ids=["ours", "with a user's", "bare"],
)
@pytest.mark.parametrize("inference", [False, True])
def test_a_frozen_layer_gives_the_same_bits_and_has_no_params(
    within: fdl.Layer, inference: bool
) -> None:
    params = within.init(torch.Generator().manual_seed(1))
    f = fdl.frozen(within, params)
    assert f.init() == {}
    with torch.inference_mode(inference):
        expected, pullback_of_expected = within.vjp(params, X)
        y, pullback = f.vjp({}, X)
        assert same_bits(y, expected)
        assert same_bits(f.apply({}, X), within.apply(params, X))
        grads, gx = pullback(y)
        assert grads == {}
        assert same_trees(gx, pullback_of_expected(expected)[1])
        assert pullback(y, wrt_input=False) == ({}, None)


def products(model: fdl.Layer, wrt_input: bool) -> int:
    """How many products of matrices a backward pass takes besides those of the forward pass."""
    params = model.init()

    def there_and_back(params: fdl.Params, x: Tensor) -> Any:
        y, pullback = model.vjp(params, x)
        return pullback(y, wrt_input=wrt_input)

    codes = fdl.trace(there_and_back, params, X).code, fdl.trace(model.apply, params, X).code
    counts = [code.count("mm(") for code in codes]
    return counts[0] - counts[1]


def test_no_product_is_computed_that_nobody_asks_for() -> None:
    head, model = fdl.linear(4, 2), fdl.sequential(BACKBONE, fdl.linear(4, 2))
    frozen = fdl.sequential(fdl.frozen(BACKBONE, PARAMS), head)
    assert products(model, wrt_input=True) == 6
    assert products(model, wrt_input=False) == 5
    assert products(frozen, wrt_input=True) == 4
    assert products(frozen, wrt_input=False) == 1
    assert products(fdl.sequential(fdl.tanh(), fdl.linear(3, 2)), wrt_input=False) == 1


def test_a_head_is_trained_as_within_the_whole_model() -> None:
    head = fdl.linear(4, 2)
    whole, frozen = (
        fdl.sequential(BACKBONE, head),
        fdl.sequential(fdl.frozen(BACKBONE, PARAMS), head),
    )
    trained, t = head.init(), torch.zeros(5, 2)
    loss, grads = fdl.value_and_grad(whole, fdl.mse())({"0": PARAMS, "1": trained}, X, t)
    ours = fdl.value_and_grad(frozen, fdl.mse())({"0": {}, "1": trained}, X, t)
    assert same_trees(ours, (loss, {"0": {}, "1": grads["1"]}))


def test_a_frozen_layer_draws_if_it_does() -> None:
    f = fdl.frozen(
        fdl.sequential(fdl.dropout(0.5), fdl.linear(3, 1)),
        {"0": {}, "1": {"weight": torch.ones(1, 3), "bias": torch.zeros(1)}},
    )
    assert f.draws
    assert not fdl.frozen(BACKBONE, PARAMS).draws
    ones = torch.ones(20, 3)
    y, pullback = f.vjp({}, ones, torch.Generator().manual_seed(0))
    assert not torch.equal(y, f.apply({}, ones))
    assert torch.equal(pullback(torch.ones(20, 1))[1].sum(1, keepdim=True), y)


@pytest.mark.parametrize(
    ("f", "params", "printed"),
    [
        (fdl.frozen(BACKBONE, PARAMS), {}, f"frozen({BACKBONE})"),
        (fdl.initialized(BACKBONE, print), PARAMS, str(BACKBONE)),
    ],
    ids=["frozen", "initialized"],
)
def test_it_is_pickled_and_printed(f: fdl.Layer, params: fdl.Params, printed: str) -> None:
    again = pickle.loads(pickle.dumps(f))
    assert same_bits(again.apply(params, X), f.apply(params, X))
    assert str(again) == str(f) == printed


def test_initialized_draws_anew_after_the_layers_own_draws() -> None:
    def draw(params: fdl.Params, generator: torch.Generator | None) -> None:
        params["weight"].normal_(0, 0.02, generator=generator)

    torch.manual_seed(0)
    theirs = torch.nn.Linear(3, 4, dtype=torch.float64)
    torch.nn.init.normal_(theirs.weight, 0, 0.02)
    f = fdl.initialized(fdl.linear(3, 4), draw)
    generator = torch.Generator().manual_seed(0)
    params = fdl.sequential(f).init(generator, dtype=torch.float64)["0"]
    assert same_trees(params, dict(theirs.state_dict()))
    assert f.init(device="meta")["weight"].is_meta
    assert same_trees(f.vjp(params, X.double())[0], fdl.linear(3, 4).apply(params, X.double()))


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda: fdl.frozen(torch.nn.Linear(1, 1), {}), "frozen: expected f to be a Layer, got L"),
        (lambda: fdl.frozen(BACKBONE, None), "frozen: expected params to be a dict, got None"),
        (lambda: fdl.initialized(print, print), "initialized: expected f to be a Layer, got <"),
        (
            lambda: fdl.initialized(BACKBONE, 1),
            "initialized: expected draw to be a function of params and a generator, got 1$",
        ),
    ],
)
def test_what_is_no_layer_no_params_or_no_function_is_refused(what: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}"):
        what()


@pytest.mark.refuses
def test_params_of_a_frozen_layer_and_its_cotangent_are_checked() -> None:
    f = fdl.frozen(BACKBONE, PARAMS)
    for call in (f.apply, f.vjp):
        with pytest.raises(ValueError, match=r"frozen: expected params with the keys \[\], got"):
            call(PARAMS, X)
    with pytest.raises(ValueError, match="sequential: expected the cotangent to be a float32"):
        f.vjp({}, X)[1](GY)
    with pytest.raises(ValueError, match=r"linear at 0: expected x of shape \(..., 3\)"):
        f.vjp({}, X[:, :2])
