"""PyTorch's transforms apply as they are, to every layer.

Their matrix products are batched or fused ones, which round otherwise: float64 with torch's default
tolerance of 1e-7, a billion roundings, tells that from a wrong gradient.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

import functional_dl as fdl
from cases import LAYERS, LOSSES, beside_linear, same_trees, small

assert_close = torch.testing.assert_close
MODELS = [*LAYERS, *["sequential"] * 2]


@pytest.fixture(params=enumerate(MODELS), ids=lambda p: f"{p[1]}-{p[0]}")
def drawn(request: pytest.FixtureRequest) -> tuple[Any, ...]:
    """A layer behind a linear one or before it, PyTorch's, params, x and t."""
    seed, name = request.param
    d = small(seed)
    model, module, params, x = beside_linear(name, d)
    return model, module, params, x, d.tensor(*model.apply(params, x).shape)


@pytest.mark.parametrize("inference", [False, True])
class TestVmap:
    """`torch.vmap`."""

    def test_over_seeds_and_learning_rates(self, drawn: Any, inference: bool) -> None:
        model, _, params, x, t = drawn
        f = fdl.value_and_grad(model, fdl.mse())

        def step(params: fdl.Params, lr: float | Tensor) -> tuple[Tensor, fdl.Params]:
            loss, grads = f(params, x, t)
            return loss, fdl.sgd(params, grads, lr)

        members = [fdl.tree_map(lambda p, n=n: p + n, params) for n in range(3)]
        lrs = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
        with torch.inference_mode(inference):
            together = torch.vmap(step)(fdl.stack(members), lrs)
            for i, ours in enumerate(fdl.unstack(together)):
                assert_close(ours, step(members[i], lrs[i].item()))

    def test_over_samples_gives_gradients_that_average_to_the_batchs(
        self, drawn: Any, inference: bool
    ) -> None:
        model, _, params, x, t = drawn
        f = fdl.value_and_grad(model, fdl.mse())
        with torch.inference_mode(inference):
            each = torch.vmap(f, in_dims=(None, 0, 0))(params, x[:, None], t[:, None])
            assert_close(fdl.tree_map(lambda g: g.mean(0), each), f(params, x, t))

    def test_over_cotangents_gives_the_jacobian(self, drawn: Any, inference: bool) -> None:
        model, _, params, x, _ = drawn
        with torch.inference_mode(inference):
            y, pullback = model.vjp(params, x[:1])
            basis = torch.eye(y.numel(), dtype=y.dtype).view(-1, *y.shape)
            given = (0, 1) if x.is_floating_point() else (0,)
            ours = torch.vmap(lambda gy: pullback(gy)[: len(given)])(basis)
        theirs = torch.func.jacrev(model.apply, given)(params, x[:1])
        assert_close(ours, fdl.tree_map(lambda j: j.flatten(0, y.dim() - 1), theirs))


@pytest.mark.builds
def test_compile_traces_a_step_as_one_graph(drawn: Any) -> None:
    model, _, params, x, t = drawn
    f = fdl.value_and_grad(model, fdl.mse())

    def step(params: fdl.Params, x: Tensor, t: Tensor) -> fdl.Params:
        return fdl.sgd(params, f(params, x, t)[1], 0.1)

    torch.compiler.reset()
    with torch.inference_mode():
        compiled = torch.compile(step, fullgraph=True, backend="eager")
        assert_close(compiled(params, x, t), step(params, x, t))


@pytest.mark.builds
@pytest.mark.parametrize(
    ("activation", "operation"),
    [
        (fdl.relu_squared(), "relu"),
        (fdl.leaky_relu(), "sign"),
        (fdl.silu(), "sigmoid"),
        (fdl.gelu(), "erfc"),
        (fdl.gelu("tanh"), "sigmoid_"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("after", "shape", "runs"),
    [
        (fdl.linear(3, 2), (4, 3), 3),
        (fdl.conv2d(3, 2, 1), (2, 3, 2, 2), 3),
        (fdl.rms_norm(3), (4, 3), 1),
    ],
    ids=["linear", "conv2d", "rms_norm"],
)
def test_compiled_code_runs_an_activation_before_an_affine_layer_again_on_each_way_back(
    activation: fdl.Layer, operation: str, after: fdl.Layer, shape: tuple[int, ...], runs: int
) -> None:
    model = fdl.sequential(activation, after)
    params, x = model.init(), torch.randn(shape)
    calls: list[int] = []

    def counting(graph: torch.fx.GraphModule, _: Any) -> Any:
        targets = [getattr(node.target, "__name__", node.target) for node in graph.graph.nodes]
        calls.append(targets.count(operation))
        return graph

    def gradients(params: Any, x: Tensor) -> Any:
        y, pullback = model.vjp(params, x)
        return y, pullback(y), pullback(y, wrt_input=False)

    torch.compiler.reset()
    compiled = torch.compile(gradients, fullgraph=True, backend=counting)
    assert same_trees(compiled(params, x), gradients(params, x))
    assert calls == [runs]


@pytest.mark.builds
def test_compiled_without_checks_of_globals_steps_of_one_function_are_told_apart() -> None:
    def step_of(model: fdl.Layer, optimizer: fdl.Optimizer) -> Any:
        f = fdl.value_and_grad(model, fdl.mse())

        def step(params: fdl.Params, state: fdl.State, x: Tensor) -> Any:
            return optimizer.update(params, f(params, x, x)[1], state, 0.1)

        return step

    torch.compiler.reset()
    options = {"guard_filter_fn": torch.compiler.skip_guard_on_globals_unsafe}
    x = torch.rand(4, 3, dtype=torch.float64)
    with torch.inference_mode():
        for beta2, act in itertools.product((0.9, 0.99), (fdl.relu, fdl.tanh)):
            model, optimizer = fdl.sequential(fdl.linear(3, 3), act()), fdl.adam(beta2=beta2)
            params = model.init(dtype=x.dtype)
            step = step_of(model, optimizer)
            compiled = torch.compile(step, fullgraph=True, backend="eager", options=options)
            _, state = step(params, optimizer.init(params), x)
            assert_close(compiled(params, state, x), step(params, state, x))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_jvp_through_the_gradient_is_the_hessian_vector_product(drawn: Any) -> None:
    model, module, params, x, t = drawn
    f, params = fdl.value_and_grad(model, fdl.mse()), fdl.tree_map(torch.clone, params)
    vector = fdl.tree_map(lambda p: p.flip(0) + 1, params)
    with torch.inference_mode():  # which jvp leaves for its time
        _, ours = torch.func.jvp(lambda p: f(p, x, t)[1], (params,), (vector,))

    def slope(weights: dict[str, Tensor]) -> Tensor:
        def loss(weights: dict[str, Tensor]) -> Tensor:
            return nn.functional.mse_loss(functional_call(module, weights, (x,)), t)

        grads = torch.func.grad(loss)(weights)
        return sum((grads[k] * v).sum() for k, v in fdl.to_state_dict(vector).items())

    # Twice differentiated, the products come in another order: float64's default tolerance.
    with sdpa_kernel(SDPBackend.MATH):  # PyTorch's others are differentiated once
        theirs = torch.func.grad(slope)(fdl.to_state_dict(params))
    assert_close(fdl.to_state_dict(ours), theirs)


CNN = fdl.sequential(
    *(fdl.conv2d(1, 2, 3, padding=1), fdl.relu(), fdl.max_pool2d(2)),
    *(fdl.conv2d(2, 3, 2), fdl.silu(), fdl.flatten(), fdl.linear(27, 2)),
)


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_vmap_over_images_gives_the_gradients_of_each(dtype: torch.dtype, inference: bool) -> None:
    params, f = CNN.init(dtype=dtype), fdl.value_and_grad(CNN, fdl.mse())
    x, t = torch.randn(5, 1, 8, 8, dtype=dtype), torch.randn(5, 2, dtype=dtype)
    with torch.inference_mode(inference):
        each = torch.vmap(f, in_dims=(None, 0, 0))(params, x[:, None], t[:, None])
        for i, ours in enumerate(fdl.unstack(each)):
            assert_close(ours, f(params, x[i : i + 1], t[i : i + 1]))
        assert_close(fdl.tree_map(lambda g: g.mean(0), each), f(params, x, t))


def both(loss: fdl.Loss) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Value and gradient of a loss."""

    def f(y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        value, pullback = loss.vjp(y, t)
        return value, pullback()

    return f


@pytest.fixture(params=[(name, seed) for name in LOSSES for seed in range(3)], ids=str)
def loss_drawn(request: pytest.FixtureRequest) -> tuple[fdl.Loss, Tensor, Tensor]:
    """A loss, y and t."""
    name, seed = request.param
    loss, _, y, t = LOSSES[name].drawn(small(seed))
    return loss, y, t


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0)])
def test_vmap_of_a_loss_is_each_ones(loss_drawn: Any, dims: Any, inference: bool) -> None:
    loss, *given = loss_drawn
    f, given = both(loss), [p if d == 0 else p[1] for p, d in zip(given, dims, strict=True)]
    with torch.inference_mode(inference):
        together = torch.vmap(f, dims)(*given)
        for i, ours in enumerate(fdl.unstack(together)):
            each = (p[i] if d == 0 else p for p, d in zip(given, dims, strict=True))
            assert_close(ours, f(*each), equal_nan=True)  # where all that there is is ignored


@pytest.mark.builds
def test_compile_traces_a_loss_as_one_graph(loss_drawn: Any) -> None:
    loss, y, t = loss_drawn
    torch.compiler.reset()
    compiled = torch.compile(both(loss), fullgraph=True, backend="eager")
    assert_close(compiled(y, t), both(loss)(y, t))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_jvp_of_a_losss_gradient_is_the_second_derivative(loss_drawn: Any) -> None:
    loss, y, t = loss_drawn
    y, along = y.clone(), torch.ones_like(y).cumsum(-1)
    with torch.inference_mode():  # which jvp leaves for its time
        _, ours = torch.func.jvp(lambda y: both(loss)(y, t)[1], (y,), (along,))
    h = 1e-6
    ahead, behind = (both(loss)(y + step * along, t)[1] for step in (h, -h))
    # Central differences of step 1e-6: an error of 1e-12 or so, and rounding of 1e-16 / 1e-6.
    assert_close(ours, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)


def test_a_loss_stays_on_the_device(loss_drawn: Any) -> None:
    loss, y, t = loss_drawn
    value, gy = both(loss)(y.to("meta"), t.to("meta"))
    assert (value.is_meta, value.shape, value.dtype) == (True, (), y.dtype)
    assert (gy.is_meta, gy.shape, gy.dtype) == (True, y.shape, y.dtype)
