"""What `functional_dl.contract` promises, and that PyTorch's transforms take us at our word."""

import sys
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import functional_dl as fdl
from proof import parity

X, GY = torch.randn(7, 3), torch.randn(7, 2)
T = torch.randn(7, 2)


def network(activation: Callable[[], fdl.Layer] = fdl.tanh) -> fdl.Layer:
    hidden = fdl.sequential(fdl.linear(4, 4, bias=False), activation())
    return fdl.sequential(fdl.linear(3, 4), activation(), hidden, fdl.linear(4, 2))


def leaves(tree: fdl.Params) -> list[Tensor]:
    return list(parity.leaves(tree).values())


def all_same(a: fdl.Params, b: fdl.Params) -> bool:
    return all(map(parity.same_bits, leaves(a), leaves(b)))


@pytest.mark.parametrize("activation", [fdl.relu, fdl.tanh])
@pytest.mark.parametrize("inference", [False, True])
def test_a_pullback_gives_the_same_again_whatever_came_between(
    activation: Callable[[], fdl.Layer], inference: bool
) -> None:
    model = network(activation)
    params = model.init()
    with torch.inference_mode(inference):
        _, pullback = model.vjp(params, X)
        grads, gx = pullback(GY)
        model.vjp(model.init(), -X)[1](-GY)
        grads_again, gx_again = pullback(GY)
    assert all_same(grads, grads_again)
    assert parity.same_bits(gx, gx_again)


@pytest.mark.parametrize("activation", [fdl.relu, fdl.tanh])
@pytest.mark.parametrize("inference", [False, True])
def test_nothing_passed_in_is_changed(activation: Callable[[], fdl.Layer], inference: bool) -> None:
    model = network(activation)
    params = model.init()
    given = [X, GY, T, *leaves(params)]
    before = [t.clone() for t in given]
    with torch.inference_mode(inference):
        model.apply(params, X)
        grads, _ = model.vjp(params, X)[1](GY)
        fdl.mse().vjp(GY, T)[1]()
        fdl.sgd(params, grads, 0.1)
        fdl.sgd(params, grads, torch.tensor(0.1))
    assert all(map(parity.same_bits, given, before))


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


@pytest.mark.parametrize("activation", [fdl.relu, fdl.tanh])
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


def test_without_wrt_input_there_is_no_input_gradient() -> None:
    for layer, width in ((network(), 3), (fdl.linear(3, 2), 3), (fdl.relu(), 2), (fdl.tanh(), 2)):
        y, pullback = layer.vjp(layer.init(), X[:, :width])
        assert pullback(torch.ones_like(y), wrt_input=False)[1] is None
    assert fdl.sequential().vjp({}, X)[1](X, wrt_input=False) == ({}, None)


def test_value_and_grad_asks_the_first_layer_for_no_input_gradient() -> None:
    asked = []

    def vjp(_: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[fdl.Params, Tensor]:
            asked.append(wrt_input)
            return {}, gy

        return x, pullback

    spy = fdl.Layer(fdl.relu().init, lambda _, x: x, vjp)
    model = fdl.sequential(spy, spy, spy)
    fdl.value_and_grad(model, fdl.mse())(model.init(), X, X)
    assert asked == [True, True, False]
    fdl.value_and_grad(spy, fdl.mse())({}, X, X)
    assert asked[3:] == [False]


def test_layers_keep_the_order_of_construction_with_more_than_ten() -> None:
    model = fdl.sequential(*(fdl.linear(1, 1) for _ in range(12)))
    params = model.init()
    y, pullback = model.vjp(params, torch.ones(1, 1))
    grads, _ = pullback(y)
    theirs = nn.Sequential(*(nn.Linear(1, 1) for _ in range(12))).state_dict()
    for tree in (params, grads, fdl.sgd(params, grads, 0.1)):
        assert list(parity.leaves(tree)) == list(theirs)


@pytest.mark.parametrize("dtype", parity.DTYPES)
@pytest.mark.parametrize("a", [1, 2, 3, 7, 49])
def test_init_draws_what_torch_draws(dtype: torch.dtype, a: int) -> None:
    torch.manual_seed(3)
    theirs = nn.Sequential(nn.Linear(a, 5, dtype=dtype), nn.Linear(5, 2, bias=False, dtype=dtype))
    model = fdl.sequential(fdl.linear(a, 5), fdl.linear(5, 2, bias=False))
    torch.manual_seed(3)
    ours = [model.init(dtype=dtype), model.init(torch.Generator().manual_seed(3), dtype=dtype)]
    for params in ours:
        assert all(map(parity.same_bits, leaves(params), theirs.state_dict().values()))


def test_init_and_all_that_follows_stay_on_the_device() -> None:
    model = network(fdl.relu)
    params = model.init(device="meta", dtype=torch.float64)
    inputs, targets = (t.to("meta", torch.float64) for t in (X, T))
    loss, grads = fdl.value_and_grad(model, fdl.mse())(params, inputs, targets)
    for t in (loss, *leaves(params), *leaves(fdl.sgd(params, grads, 0.1))):
        assert t.is_meta
        assert t.dtype == torch.float64


def test_a_users_layer_is_a_layer() -> None:
    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        return x * params["weight"], lambda gy, *, wrt_input=True: (
            {"weight": (gy * x).sum(0)},
            gy * params["weight"] if wrt_input else None,
        )

    scale = fdl.Layer(
        lambda *_, **__: {"weight": 2 * torch.ones(3)}, lambda p, x: vjp(p, x)[0], vjp
    )
    model = fdl.sequential(scale, fdl.linear(3, 2))
    params = model.init()
    grads, gx = model.vjp(params, X)[1](GY)
    weight, inner = torch.full((3,), 2.0), params["1"]
    their_gx, their_weight = parity.autograd(
        lambda x, w: nn.functional.linear(x * w, inner["weight"], inner["bias"]), [X, weight], GY
    )[1:]
    assert torch.equal(gx, their_gx)
    assert torch.equal(grads["0"]["weight"], their_weight)


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("activation", [fdl.relu, fdl.tanh])
class TestTransforms:
    """`torch.vmap` and `torch.compile` apply as they are.

    Their matrix products are batched or fused ones, which round otherwise: float64 with torch's
    default tolerance of 1e-7, a billion roundings, tells that from a wrong gradient.
    """

    @pytest.fixture(autouse=True)
    def _setup(self, activation: Callable[[], fdl.Layer]) -> None:
        self.model = network(activation)
        self.x, self.t = X.double(), T.double()
        self.f = fdl.value_and_grad(self.model, fdl.mse())

    def step(self, params: fdl.Params, x: Tensor, t: Tensor, lr: float | Tensor) -> fdl.Params:
        return fdl.sgd(params, self.f(params, x, t)[1], lr)

    def test_vmap_over_seeds_and_learning_rates(self, inference: bool) -> None:
        members = [self.model.init(dtype=torch.float64) for _ in range(3)]
        lrs = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
        stacked = torch.utils._pytree.tree_map(lambda *p: torch.stack(p), *members)
        with torch.inference_mode(inference):
            together = torch.vmap(self.step, in_dims=(0, None, None, 0))(
                stacked, self.x, self.t, lrs
            )
            for i, member in enumerate(members):
                alone = self.step(member, self.x, self.t, lrs[i].item())
                for a, b in zip(leaves(together), leaves(alone), strict=True):
                    torch.testing.assert_close(a[i], b)

    def test_vmap_over_samples_gives_gradients_that_average_to_the_batchs(
        self, inference: bool
    ) -> None:
        params = self.model.init(dtype=torch.float64)
        with torch.inference_mode(inference):
            _, each = torch.vmap(self.f, in_dims=(None, 0, 0))(params, self.x, self.t)
            _, batch = self.f(params, self.x, self.t)
        for a, b in zip(leaves(each), leaves(batch), strict=True):
            torch.testing.assert_close(a.mean(0), b)

    def test_vmap_over_cotangents_gives_the_jacobian(self, inference: bool) -> None:
        params = self.model.init(dtype=torch.float64)
        with torch.inference_mode(inference):
            _, pullback = self.model.vjp(params, self.x[0])
            ours = torch.vmap(lambda gy: pullback(gy)[1])(torch.eye(2, dtype=torch.float64))
        theirs = torch.func.jacrev(lambda x: self.model.apply(params, x))(self.x[0])
        torch.testing.assert_close(ours, theirs)

    def test_compile_traces_a_step_as_one_graph(self, inference: bool) -> None:
        params = self.model.init(dtype=torch.float64)
        compiled = torch.compile(self.step, fullgraph=True, backend="eager")
        with torch.inference_mode(inference):
            for a, b in zip(
                leaves(compiled(params, self.x, self.t, 0.1)),
                leaves(self.step(params, self.x, self.t, 0.1)),
                strict=True,
            ):
                torch.testing.assert_close(a, b)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("activation", [fdl.relu, fdl.tanh])
def test_jvp_through_the_gradient_is_the_hessian_vector_product(
    activation: Callable[[], fdl.Layer],
) -> None:
    model, x, t = network(activation), X.double(), T.double()
    params = model.init(dtype=torch.float64)
    vector = fdl.sgd(params, model.init(dtype=torch.float64), 1.0)
    f = fdl.value_and_grad(model, fdl.mse())
    with torch.inference_mode():  # which jvp leaves for its time
        _, ours = torch.func.jvp(lambda p: f(p, x, t)[1], (params,), (vector,))

    act = {fdl.relu: nn.ReLU, fdl.tanh: nn.Tanh}[activation]
    hidden = nn.Sequential(nn.Linear(4, 4, bias=False), act())
    theirs = nn.Sequential(nn.Linear(3, 4), act(), hidden, nn.Linear(4, 2))
    weights = dict(zip(parity.leaves(params), leaves(params), strict=True))

    def slope(weights: dict[str, Tensor]) -> Tensor:
        def loss(weights: dict[str, Tensor]) -> Tensor:
            return nn.functional.mse_loss(torch.func.functional_call(theirs, weights, x), t)

        grads = torch.func.grad(loss)(weights)
        return sum((grads[k] * v).sum() for k, v in parity.leaves(vector).items())

    # Twice differentiated, the products come in another order: float64's default tolerance.
    for k, expected in torch.func.grad(slope)(weights).items():
        torch.testing.assert_close(parity.leaves(ours)[k], expected)


def test_tanh_made_under_another_default_device_works_on_this_one() -> None:
    with torch.device("meta"):
        layer = fdl.tanh()
    assert parity.same_bits(layer.vjp({}, X)[1](X)[1], fdl.tanh().vjp({}, X)[1](X)[1])


def test_relu_while_traced_is_the_same_relu(monkeypatch: pytest.MonkeyPatch) -> None:
    special = torch.tensor([0.0, -0.0, torch.nan, -torch.nan, torch.inf, -torch.inf, 1, -1, 0.5])
    x, gy = torch.meshgrid(special, special, indexing="ij")
    expected = fdl.relu().vjp({}, x)[1](gy)[1]
    monkeypatch.setattr(sys.modules["functional_dl._numerics"], "is_compiling", lambda: True)
    assert parity.same_bits(fdl.relu().vjp({}, x)[1](gy)[1], expected)
