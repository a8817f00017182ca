"""Everything equals PyTorch's autograd in every bit and in its layout, over drawn cases."""

import itertools
from collections.abc import Callable, Iterator
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import functional_dl as fdl
from cases import (
    CASES,
    DTYPES,
    LAYERS,
    LOSSES,
    SPECIAL,
    Draw,
    autograd,
    bits,
    by_autograd,
    distances,
    laid_out_alike,
    same_bits,
    same_trees,
)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("threads")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rng=st.randoms(use_true_random=False))
def test_equals_autograd_in_every_bit_and_in_its_layout(name: str, rng: Random) -> None:
    for what, ours, theirs in CASES[name](rng):
        assert same_bits(ours, theirs), what
        assert laid_out_alike(ours, theirs), what


@pytest.mark.long
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [name for name, case in LAYERS.items() if case.tier == "C"])
def test_what_is_not_equal_is_no_further_from_double_precision(
    name: str, dtype: torch.dtype
) -> None:
    found = distances(LAYERS[name], [Random(i) for i in range(100)], dtype)
    assert found.keys() == set(LAYERS[name].unequal)
    for ours, theirs in found.values():
        assert 0 < ours < 1.25 * theirs  # a rounding more than PyTorch's fused kernels


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_repeated_tokens_gradient_in_half_precision_is_as_near_as_pytorchs(
    dtype: torch.dtype,
) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(4, (500,), generator=generator)
    weight = torch.randn(4, 8, generator=generator).to(dtype)
    gy = torch.randn(500, 8, generator=generator).to(dtype)
    grads, _ = fdl.embedding(4, 8).vjp({"weight": weight}, tokens)[1](gy)
    embed = nn.functional.embedding
    (theirs,) = autograd(lambda w: embed(tokens, w), weight)[1](gy)
    (exact,) = autograd(lambda w: embed(tokens, w), weight.double())[1](gy.double())
    assert (grads["weight"] - exact).norm() <= (theirs - exact).norm()


@pytest.fixture
def without_onednn() -> Iterator[None]:
    """As on machines that it isn't for."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    yield
    torch.backends.mkldnn.enabled = before


@pytest.mark.long
@pytest.mark.usefixtures("without_onednn")
class TestWithoutOneDnn:
    """The gradients of filters are equal, too, of images that lie as they do by default."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_every_convolution(self, dtype: torch.dtype) -> None:
        for i in range(100):
            layer, module, params, x = LAYERS["conv2d"].drawn(Draw(Random(i), dtype, finite=True))
            params, x = fdl.tree_map(Tensor.contiguous, (params, x))
            names = [*params]
            gy, theirs = by_autograd(module, params, names, x, torch.randn_like)
            grads, _ = layer.vjp(params, x)[1](gy)
            for name in names if dtype == torch.float64 else ["weight"]:
                # Of a single sample, zeros may have another sign.
                assert same_bits(grads[name] + 0, theirs[name] + 0)

    def test_a_network_that_is_trained(self) -> None:
        model = fdl.sequential(
            *(fdl.conv2d(1, 4, 3, padding=1), fdl.leaky_relu(), fdl.max_pool2d(2)),
            *(fdl.conv2d(4, 6, 3), fdl.relu(), fdl.flatten(), fdl.linear(24, 3)),
        )
        theirs = nn.Sequential(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.LeakyReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)),
        )
        optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
        params = fdl.tree_map(torch.clone, fdl.from_state_dict(model, theirs.state_dict()))
        f = fdl.value_and_grad(model, fdl.mse())
        for _ in range(5):
            x, t = torch.randn(16, 1, 8, 8), torch.randn(16, 3)
            optimizer.zero_grad()
            their_loss = nn.functional.mse_loss(theirs(x), t)
            their_loss.backward()
            optimizer.step()
            with torch.inference_mode():
                loss, grads = f(params, x, t)
                params = fdl.sgd(params, grads, 0.1)
            assert same_bits(loss, their_loss.detach())
        assert same_trees(fdl.to_state_dict(params), dict(theirs.state_dict()))


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pool2d_takes_infinities_and_any_cotangent(dtype: torch.dtype, inference: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    some = torch.tensor([torch.inf, -torch.inf, 1, 2], dtype=dtype)
    x = some[torch.randint(4, (5, 3, 7, 7), generator=generator)]
    special = torch.tensor([*SPECIAL, 1], dtype=dtype)
    gy = special[torch.randint(len(special), (5, 3, 3, 3), generator=generator)]
    their_y, their_pullback = autograd(lambda x: torch.max_pool2d(x, 2), x)
    (their_gx,) = their_pullback(gy)
    with torch.inference_mode(inference):
        y, pullback = fdl.max_pool2d(2).vjp({}, x)
        assert same_bits(y, their_y)
        assert same_bits(pullback(gy.clone())[1], their_gx)


def test_max_pool2d_hands_a_nan_on() -> None:
    x = torch.randn(1, 4, 4)
    x[0, 1, 2] = torch.nan
    assert same_bits(fdl.max_pool2d(2).apply({}, x), torch.max_pool2d(x, 2))


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", ["input", "weight"])
def test_equals_autograd_where_a_factor_is_laid_out_by_columns(
    transposed: str, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = (1, 3, 30, 64)
    for n, a, b, gy_rows in [
        (*s, k) for s in itertools.product(sizes, repeat=3) for k in (1, s[0])
    ]:
        x, weight = torch.randn(n, a, generator=generator), torch.randn(b, a, generator=generator)
        if transposed == "input":
            x = x.t().contiguous().t()
        else:
            weight = weight.t().contiguous().t()
        x, weight = x.to(dtype), weight.to(dtype)
        gy = torch.randn(gy_rows, b, generator=generator).to(dtype).expand(n, b)
        their_gx, their_grad = autograd(nn.functional.linear, x, weight)[1](gy)
        grads, gx = fdl.linear(a, b, bias=False).vjp({"weight": weight}, x)[1](gy)
        assert same_bits(gx, their_gx)
        assert laid_out_alike(gx, their_gx)
        assert same_bits(grads["weight"], their_grad)
        assert laid_out_alike(grads["weight"], their_grad)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rms_norm_of_channels_last_is_laid_out_as_pytorchs(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 4, 5, dtype=dtype).contiguous(memory_format=torch.channels_last)
    module = nn.RMSNorm(5, 1e-5, dtype=dtype)
    y = fdl.rms_norm(5).apply({"weight": module.weight.detach()}, x)
    assert same_bits(y, module(x).detach())
    assert laid_out_alike(y, module(x))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1, 1000])
def test_cross_entropy_is_as_near_to_float64_as_pytorchs(scale: int, smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(64, 10, generator=generator).mul(scale)
    t = torch.randint(10, (64,), generator=generator)
    module = nn.CrossEntropyLoss(label_smoothing=smoothing)
    value, pullback = fdl.cross_entropy(label_smoothing=smoothing).vjp(y, t)
    theirs, exact = (autograd(lambda y: module(y, t), p) for p in (y, y.double()))
    for of_ours, of_theirs, right in (
        (value, theirs[0], exact[0]),
        (pullback(), theirs[1]()[0], exact[1]()[0]),
    ):
        distances = [(of - right).norm() / right.norm() for of in (of_ours, of_theirs)]
        # Two roundings beside PyTorch's own, as it may be exact.
        assert distances[0] <= distances[1] + 2 * torch.finfo(y.dtype).eps


def relu_case(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Every x there is to tell apart with every such cotangent, and PyTorch's gradient."""
    tiny, large = torch.finfo(dtype).smallest_normal, torch.finfo(dtype).max
    half = torch.tensor([0.0, 1.0, tiny, tiny / 2, large, torch.inf, torch.nan]).to(dtype)
    special = torch.cat([half, -half])
    assert special.signbit().sum() == 7  # a NaN of each sign too
    x, gy = (t.reshape(-1).repeat(3) for t in torch.meshgrid(special, special, indexing="ij"))
    return x, gy, autograd(torch.relu, x)[1](gy)[0]


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
class TestReluChooses:
    """Each cotangent gets through with all its bits or not at all, where autograd's does.

    PyTorch itself makes NaNs in bfloat16 others, which same_bits overlooks.
    """

    def test_eager(self, dtype: torch.dtype, inference: bool) -> None:
        x, gy, theirs = relu_case(dtype)
        chosen = bits(gy) * ((x > 0) | x.isnan())
        with torch.inference_mode(inference):
            # A cotangent that comes from outside of inference mode takes another way.
            for cotangent in (gy, gy.clone()):
                gx = fdl.relu().vjp({}, x)[1](cotangent)[1]
                assert torch.equal(bits(gx), chosen)
                assert same_bits(gx, theirs)

    @pytest.mark.builds
    def test_compiled(self, dtype: torch.dtype, inference: bool) -> None:
        torch.compiler.reset()
        x, gy, theirs = relu_case(dtype)

        def f(x: Tensor, gy: Tensor) -> Tensor:
            return fdl.relu().vjp({}, x)[1](gy)[1]

        with torch.inference_mode(inference):
            gx = torch.compile(f, fullgraph=True, backend="eager")(x, gy)
            assert torch.equal(bits(gx), bits(f(x, gy)))
            assert same_bits(gx, theirs)


def test_same_bits_tells_a_sign_of_zero_a_last_bit_a_shape_and_a_dtype() -> None:
    a = torch.tensor([0.0, 1.0, torch.nan])
    assert same_bits(a, a.clone())
    assert same_bits(a, torch.stack([a, a], 1)[:, 0])
    assert not same_bits(a, torch.tensor([-0.0, 1.0, torch.nan]))
    assert not same_bits(a, a.nextafter(torch.tensor(2.0)))
    assert not same_bits(a, a[:2])
    assert not same_bits(a, a.double())


@pytest.mark.parametrize("name", ["mse", "l1", "huber"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_loss_takes_any_numbers_and_keeps_the_sign_of_zero(name: str, dtype: torch.dtype) -> None:
    y, t = torch.cartesian_prod(*[torch.tensor([*SPECIAL, 1], dtype=dtype)] * 2).unbind(1)
    theirs, their_pullback = autograd(lambda y: LOSSES[name].theirs()(y, t), y)
    ours, pullback = LOSSES[name].ours().vjp(y, t)
    assert same_bits(ours, theirs)
    assert same_bits(pullback(), *their_pullback())


LAYOUTS: list[Callable[[torch.dtype], Tensor]] = [
    lambda dtype: torch.randn(5, 4, dtype=dtype),
    lambda dtype: torch.randn(4, 5, dtype=dtype).mT,
    lambda dtype: torch.randn(1, 4, dtype=dtype).expand(5, 4),
    lambda dtype: torch.randn(5, 1, dtype=dtype).expand(5, 4),
    lambda dtype: torch.randn((), dtype=dtype).expand(5, 4),
]


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
class TestAGradientIsLaidOutAsAutograds:
    """Sums that come after it depend on that."""

    @pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
    def test_of_an_activation(self, name: str, dtype: torch.dtype) -> None:
        for of_x, of_gy in itertools.product(LAYOUTS, repeat=2):
            x, gy = of_x(dtype), of_gy(dtype)
            (theirs,) = autograd(getattr(torch, name), x)[1](gy)
            ours = getattr(fdl, name)().vjp({}, x)[1](gy)[1]
            assert torch.equal(ours, theirs)
            assert ours.stride() == theirs.stride()

    def test_of_a_loss(self, dtype: torch.dtype) -> None:
        for of_y, of_t in itertools.product(LAYOUTS, repeat=2):
            y, t = of_y(dtype), of_t(dtype)
            (theirs,) = autograd(lambda y, t=t: nn.functional.mse_loss(y, t), y)[1]()
            ours = fdl.mse().vjp(y, t)[1]()
            assert torch.equal(ours, theirs)
            assert ours.stride() == theirs.stride()
