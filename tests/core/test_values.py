"""Small cases, computed by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

import functional_dl as fdl

PARAMS = {"weight": tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), "bias": tensor([0.5, 0.0, -1.0])}
X = tensor([[1.0, -1.0], [2.0, 0.5]])
GY = tensor([[1.0, 0.0, 2.0], [-1.0, 1.0, 0.0]])


def assert_equal(ours: object, expected: object) -> None:
    if isinstance(expected, Tensor):
        assert torch.equal(ours, expected)
    elif isinstance(expected, tuple):
        for o, e in zip(ours, expected, strict=True):
            assert_equal(o, e)
    elif isinstance(expected, dict):
        assert list(ours) == list(expected)
        for k in expected:
            assert_equal(ours[k], expected[k])
    else:
        assert ours == expected


def test_linear() -> None:
    y, pullback = fdl.linear(2, 3).vjp(PARAMS, X)
    grads, gx = pullback(GY)
    assert_equal(y, tensor([[-0.5, -1.0, -2.0], [3.5, 8.0, 12.0]]))
    assert_equal(
        grads,
        {
            "weight": tensor([[-1.0, -1.5], [2.0, 0.5], [2.0, -2.0]]),
            "bias": tensor([0.0, 1.0, 2.0]),
        },
    )
    assert_equal(gx, tensor([[11.0, 14.0], [2.0, 2.0]]))


def test_linear_without_bias() -> None:
    y, pullback = fdl.linear(2, 3, bias=False).vjp({"weight": PARAMS["weight"]}, X)
    grads, _ = pullback(GY)
    assert_equal(y, tensor([[-1.0, -1.0, -1.0], [3.0, 8.0, 13.0]]))
    assert_equal(grads, {"weight": tensor([[-1.0, -1.5], [2.0, 0.5], [2.0, -2.0]])})


def test_relu_is_off_at_zero() -> None:
    y, pullback = fdl.relu().vjp({}, tensor([-2.0, 0.0, 3.0]))
    assert_equal(y, tensor([0.0, 0.0, 3.0]))
    grads, gx = pullback(tensor([5.0, 6.0, 7.0]))
    assert_equal(grads, {})
    assert_equal(gx, tensor([0.0, 0.0, 7.0]))


def test_sigmoid() -> None:
    y, pullback = fdl.sigmoid().vjp({}, tensor([0.0, math.inf, -math.inf]))
    assert_equal(y, tensor([0.5, 1.0, 0.0]))
    assert_equal(pullback(tensor([4.0, 5.0, 6.0]))[1], tensor([1.0, 0.0, 0.0]))


def test_leaky_relu_has_its_slope_at_zero() -> None:
    y, pullback = fdl.leaky_relu(0.5).vjp({}, tensor([-2.0, 0.0, 3.0, -math.inf]))
    assert_equal(y, tensor([-1.0, 0.0, 3.0, -math.inf]))
    assert_equal(pullback(tensor([4.0, 6.0, 7.0, 2.0]))[1], tensor([2.0, 3.0, 7.0, 1.0]))


def test_silu() -> None:
    y, pullback = fdl.silu().vjp({}, tensor([0.0, 100.0, -200.0]))
    assert_equal(y, tensor([0.0, 100.0, 0.0]))
    assert_equal(pullback(tensor([4.0, 5.0, 6.0]))[1], tensor([2.0, 5.0, 0.0]))


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_gelu(form: str) -> None:
    y, pullback = fdl.gelu(form).vjp({}, tensor([0.0, 20.0, -20.0]))
    assert_equal(y, tensor([0.0, 20.0, 0.0]))
    assert_equal(pullback(tensor([4.0, 5.0, 6.0]))[1], tensor([2.0, 5.0, 0.0]))


def test_gelu_of_one_is_the_normal_distribution_there() -> None:
    y, pullback = fdl.gelu().vjp({}, tensor([1.0], dtype=torch.float64))
    assert y.item() == pytest.approx(0.8413447460685429, rel=1e-15)
    slope = pullback(torch.ones_like(y))[1].item()
    assert slope == pytest.approx(0.8413447460685429 + 0.24197072451914337, rel=1e-15)


def test_flatten() -> None:
    x, gy = torch.arange(12.0).view(2, 3, 2), torch.arange(12.0).view(2, 6)
    y, pullback = fdl.flatten().vjp({}, x)
    assert_equal(y, gy)
    assert_equal(pullback(gy)[1], x)


def test_conv2d() -> None:
    params = {"weight": tensor([[[[1.0, 2.0], [0.0, -1.0]]]]), "bias": tensor([0.5])}
    x = tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    y, pullback = fdl.conv2d(1, 1, 2).vjp(params, x)
    assert_equal(y, tensor([[[[0.5, 2.5]]]]))
    grads, gx = pullback(tensor([[[[1.0, 10.0]]]]))
    assert_equal(
        grads, {"weight": tensor([[[[21.0, 32.0], [54.0, 65.0]]]]), "bias": tensor([11.0])}
    )
    assert_equal(gx, tensor([[[[1.0, 12.0, 20.0], [0.0, -1.0, -10.0]]]]))


def test_conv2d_sums_over_channels_and_samples_with_steps_and_zeros_around() -> None:
    params = {"weight": tensor([[[[1.0]], [[10.0]]]])}
    x = torch.arange(1.0, 9.0).view(2, 2, 1, 2)
    layer = fdl.conv2d(2, 1, 1, padding=1, stride=2, bias=False)
    y, pullback = layer.vjp(params, x)
    assert_equal(y, torch.zeros(2, 1, 2, 2))  # steps of 2 from the first zero meet zeros alone
    grads, gx = pullback(torch.ones(2, 1, 2, 2))
    assert_equal(grads, {"weight": torch.zeros(1, 2, 1, 1)})
    assert_equal(gx, torch.zeros(2, 2, 1, 2))
    y, pullback = fdl.conv2d(2, 1, 1, bias=False).vjp(params, x)
    assert_equal(y, tensor([[[[31.0, 42.0]]], [[[75.0, 86.0]]]]))
    grads, gx = pullback(tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]]))
    assert_equal(grads, {"weight": tensor([[[[7.0]], [[11.0]]]])})
    assert_equal(gx, tensor([[[[1.0, 0.0]], [[10.0, 0.0]]], [[[0.0, 1.0]], [[0.0, 10.0]]]]))


@pytest.mark.parametrize("inference", [False, True])
def test_max_pool2d_goes_back_to_the_first_of_the_largest(inference: bool) -> None:
    with torch.inference_mode(inference):
        x = tensor(
            [[1.0, 2.0, 0.0, 0.0, 9.0], [2.0, 1.0, 0.0, 0.0, 9.0], [9.0, 9.0, 9.0, 9.0, 9.0]]
        )
        y, pullback = fdl.max_pool2d(2).vjp({}, x)
        assert_equal(y, tensor([[2.0, 0.0]]))
        gx = tensor([[0.0, 5.0, math.inf, 0.0, 0.0], [0.0] * 5, [0.0] * 5])
        assert_equal(pullback(tensor([[5.0, math.inf]]))[1], gx)


def test_max_pool2d_finds_places_that_single_precision_could_not_count() -> None:
    x = torch.zeros(2, (1 << 23) + 2)
    x[1, -1] = 1
    gy = torch.zeros(1, x.shape[1] // 2)
    gy[0, -1] = 3
    assert torch.equal(fdl.max_pool2d(2).vjp({}, x)[1](gy)[1], 3 * x)


def test_relu_squared() -> None:
    y, pullback = fdl.relu_squared().vjp({}, tensor([-2.0, 0.0, 3.0]))
    assert_equal(y, tensor([0.0, 0.0, 9.0]))
    assert_equal(pullback(tensor([5.0, 6.0, 7.0])), ({}, tensor([0.0, 0.0, 42.0])))


def test_a_repeated_token_adds_up_in_embedding() -> None:
    weight = tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    for tokens in (tensor([2, 0, 2]), tensor([2, 0, 2], dtype=torch.int32)):
        y, pullback = fdl.embedding(3, 2).vjp({"weight": weight}, tokens)
        assert_equal(y, tensor([[5.0, 6.0], [1.0, 2.0], [5.0, 6.0]]))
        grads, gx = pullback(tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]))
        assert_equal(grads, {"weight": tensor([[2.0, 20.0], [0.0, 0.0], [4.0, 40.0]])})
        assert gx is None


def test_positions_that_no_sequence_has_learn_nothing() -> None:
    params, x = (
        {"weight": tensor([[1.0], [2.0], [3.0]])},
        tensor([[[10.0], [20.0]], [[30.0], [40.0]]]),
    )
    y, pullback = fdl.positions(3, 1).vjp(params, x)
    assert_equal(y, tensor([[[11.0], [22.0]], [[31.0], [42.0]]]))
    assert_equal(pullback(x), ({"weight": tensor([[40.0], [60.0], [0.0]])}, x))


def test_rms_norm() -> None:
    y, pullback = fdl.rms_norm(2, eps=3.0).vjp({"weight": tensor([2.0, 4.0])}, tensor([1.0, -1.0]))
    assert_equal(y, tensor([1.0, -2.0]))  # r is 1 / √(1 + 3)
    grads, gx = pullback(tensor([1.0, 1.0]))
    assert_equal(grads, {"weight": tensor([0.5, -0.5])})
    assert_equal(gx, tensor([1.125, 1.875]))  # ∇v is 1/8


def test_layer_norm() -> None:
    params, x = {"weight": tensor([2.0, 4.0]), "bias": tensor([10.0, 20.0])}, tensor([[3.0, 1.0]])
    y, pullback = fdl.layer_norm(2, eps=3.0).vjp(params, x)
    assert_equal(y, tensor([[11.0, 18.0]]))  # N is (±1) / √(1 + 3)
    grads, gx = pullback(tensor([[1.0, 1.0]]))
    assert_equal(grads, {"weight": tensor([0.5, -0.5]), "bias": tensor([1.0, 1.0])})
    assert_equal(gx, tensor([[-0.375, 0.375]]))  # of ∇N = (2, 4), (−1, 1) + N / 2, and then r


@pytest.mark.parametrize("norm", [fdl.rms_norm, fdl.layer_norm])
def test_a_norm_without_eps_has_the_same_value_at_any_scale(norm: Any) -> None:
    layer, x = norm(2, eps=0.0), tensor([[3.0, 1.0]])
    params = layer.init()
    assert_equal(layer.apply(params, x * 2**-40), layer.apply(params, x))


@pytest.mark.parametrize("causal", [True, False])
def test_attention_of_two_positions(causal: bool) -> None:
    k = math.log(3)  # for weights of 3/4 and 1/4 where a query is 1
    x = tensor([[0.0, k, 4.0], [1.0, 0.0, 8.0]], dtype=torch.float64)
    y, pullback = fdl.attention(1, causal).vjp({}, x)
    _, gx = pullback(tensor([[1.0], [2.0]], dtype=torch.float64))
    second = [-1.5 * k, 1.5]  # ∇S is ∓1.5, since ∇P is (8, 16), and 10 on average
    if causal:
        expected = [[4.0], [5.0]], [[0.0, -1.5, 2.5], [*second, 0.5]]
    else:  # the first one's weights are halves, ∇P (4, 8), ∇S (−1, 1)
        expected = [[6.0], [5.0]], [[-k, -1.5, 2.0], [*second, 1.0]]
    # A few roundings, of log 3 and exp.
    for ours, right in zip((y, gx), expected, strict=True):
        torch.testing.assert_close(ours, tensor(right, dtype=ours.dtype), rtol=1e-14, atol=1e-14)


def test_each_head_attends_by_itself() -> None:
    one, other = torch.randn(2, 5, 6, dtype=torch.float64)
    apart = torch.stack([one, other]).unflatten(-1, (3, 2))
    both = apart.permute(1, 2, 0, 3).flatten(1)
    y, pullback = fdl.attention(2).vjp({}, both)
    _, gx = pullback(y)
    of_each = [fdl.attention(1).vjp({}, x) for x in (one, other)]
    torch.testing.assert_close(y, torch.cat([y for y, _ in of_each], -1))
    gxs = torch.stack([pullback(y)[1] for y, pullback in of_each]).unflatten(-1, (3, 2))
    torch.testing.assert_close(gx, gxs.permute(1, 2, 0, 3).flatten(1))


def test_tanh() -> None:
    y, pullback = fdl.tanh().vjp({}, tensor([0.0, math.inf, -math.inf]))
    assert_equal(y, tensor([0.0, 1.0, -1.0]))
    assert_equal(pullback(tensor([5.0, 6.0, 7.0]))[1], tensor([5.0, 0.0, 0.0]))


def loss_of(loss: fdl.Loss, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    value, pullback = loss.vjp(y, t)
    return value, pullback()


def test_mse() -> None:
    y, t = tensor([[1.0, 2.0]]), tensor([[0.0, 4.0]])
    assert_equal(loss_of(fdl.mse(), y, t), (tensor(2.5), tensor([[1.0, -2.0]])))
    assert_equal(loss_of(fdl.mse("sum"), y, t), (tensor(5.0), tensor([[2.0, -4.0]])))


def test_l1() -> None:
    y, t = tensor([1.0, 2.0, 5.0, 0.0]), tensor([0.0, 4.0, 5.0, math.inf])
    value, gy = loss_of(fdl.l1(), y[:2], t[:2])
    assert_equal((value, gy), (tensor(1.5), tensor([0.5, -0.5])))
    value, gy = loss_of(fdl.l1(reduction="sum"), y, t)
    assert_equal((value, gy), (tensor(math.inf), tensor([1.0, -1.0, 0.0, -1.0])))


def test_huber() -> None:
    y, t = tensor([0.5, -2.0, 4.0, 2.0]), torch.zeros(4)
    value, gy = loss_of(fdl.huber(2.0), y, t)
    assert_equal((value, gy), (tensor((0.125 + 2 + 6 + 2) / 4), y.clamp(max=2) / 4))
    value, gy = loss_of(fdl.huber(reduction="sum"), y, t)
    assert_equal((value, gy), (tensor(0.125 + 1.5 + 3.5 + 1.5), tensor([0.5, -1.0, 1.0, 1.0])))


def test_bce_with_logits() -> None:
    y, t = tensor([0.0, 0.0, 1000.0, -1000.0, 1000.0]), tensor([1.0, 0.25, 0.0, 0.0, 1.0])
    value, gy = loss_of(fdl.bce_with_logits("sum"), y, t)
    assert_equal((value, gy), (tensor(2 * math.log(2) + 1000), tensor([-0.5, 0.25, 1.0, 0.0, 0.0])))
    value, gy = loss_of(fdl.bce_with_logits(), y[:2], t[:2])
    assert_equal((value, gy), (tensor(math.log(2)), tensor([-0.25, 0.125])))


def test_cross_entropy() -> None:
    y = tensor([[0.0, math.log(3)], [1000.0, -1000.0]])
    value, gy = loss_of(fdl.cross_entropy(), y, tensor([1, 1]))
    assert_equal(value, tensor((math.log(4 / 3) + 2000) / 2))
    torch.testing.assert_close(gy, tensor([[0.125, -0.125], [0.5, -0.5]]))
    value, gy = loss_of(fdl.cross_entropy("sum"), y, tensor([0, 0]))
    assert_equal(value, tensor(math.log(4)))
    torch.testing.assert_close(gy, tensor([[-0.75, 0.75], [0.0, 0.0]]))


def test_cross_entropy_takes_a_class_of_probability_0_for_infinitely_wrong() -> None:
    y = tensor([0.0, -math.inf, 0.0])
    assert_equal(
        loss_of(fdl.cross_entropy(), y, tensor(0)), (tensor(math.log(2)), tensor([-0.5, 0.0, 0.5]))
    )
    value, gy = loss_of(fdl.cross_entropy(), y, tensor(1))
    assert_equal((value, gy), (tensor(math.inf), tensor([0.5, -1.0, 0.5])))


def test_cross_entropy_leaves_out_what_is_ignored() -> None:
    y, t = tensor([[0.0, 0.0], [5.0, math.inf], [0.0, 0.0]]), tensor([0, -100, 1])
    kept = tensor([True, False, True])
    for reduction in ("mean", "sum"):
        some = fdl.cross_entropy(reduction, ignore_index=-100)
        value, gy = loss_of(some, y, t)
        expected, of_kept = loss_of(fdl.cross_entropy(reduction), y[kept], t[kept])
        assert_equal((value, gy[kept]), (expected, of_kept))
    some = fdl.cross_entropy(ignore_index=1)
    value, gy = loss_of(some, tensor([[1.0, 2.0]]), tensor([1]))
    assert value.isnan()
    assert_equal(gy, tensor([[0.0, 0.0]]))


def test_cross_entropy_smooths_labels() -> None:
    y = tensor([[0.0, math.log(3)]])
    value, gy = loss_of(fdl.cross_entropy(label_smoothing=0.5), y, tensor([1]))
    torch.testing.assert_close(value, tensor(0.75 * math.log(4 / 3) + 0.25 * math.log(4)))
    torch.testing.assert_close(gy, tensor([[0.25 - 0.25, 0.75 - 0.75]]))


def test_sequential_chains_and_keys_by_position() -> None:
    model = fdl.sequential(fdl.linear(2, 3), fdl.sequential(fdl.relu()), fdl.sequential())
    y, pullback = model.vjp({"0": PARAMS, "1": {"0": {}}, "2": {}}, X)
    grads, gx = pullback(GY)
    assert_equal(y, tensor([[0.0, 0.0, 0.0], [3.5, 8.0, 12.0]]))
    weight = tensor([[-2.0, -0.5], [2.0, 0.5], [0.0, 0.0]])
    bias = tensor([-1.0, 1.0, 0.0])
    assert_equal(grads, {"0": {"weight": weight, "bias": bias}, "1": {"0": {}}, "2": {}})
    assert_equal(gx, tensor([[0.0, 0.0], [2.0, 2.0]]))


def test_residual_adds_its_input_and_the_cotangent() -> None:
    f = fdl.residual(fdl.linear(1, 1), fdl.relu())
    params = {"0": {"weight": tensor([[3.0]]), "bias": tensor([-4.0])}, "1": {}}
    y, pullback = f.vjp(params, tensor([[1.0], [2.0]]))
    grads, gx = pullback(tensor([[10.0], [20.0]]))
    assert_equal(y, tensor([[1.0], [4.0]]))
    assert_equal(grads, {"0": {"weight": tensor([[40.0]]), "bias": tensor([20.0])}, "1": {}})
    assert_equal(gx, tensor([[10.0], [80.0]]))
    assert_equal(pullback(tensor([[10.0], [20.0]]), wrt_input=False), (grads, None))


def test_parallel_adds_outputs_and_cotangents() -> None:
    f = fdl.parallel(fdl.relu(), fdl.sequential(), fdl.linear(1, 1, bias=False))
    y, pullback = f.vjp({"0": {}, "1": {}, "2": {"weight": tensor([[3.0]])}}, tensor([[-1.0]]))
    grads, gx = pullback(tensor([[2.0]]))
    assert_equal(y, tensor([[-4.0]]))
    assert_equal(grads, {"0": {}, "1": {}, "2": {"weight": tensor([[-2.0]])}})
    assert_equal(gx, tensor([[8.0]]))


def test_dropout() -> None:
    generator = torch.Generator().manual_seed(2)
    y, pullback = fdl.dropout(0.75).vjp({}, tensor([1.0, 2.0, 3.0, 5.0]), generator)
    mask = y / tensor([1.0, 2.0, 3.0, 5.0])
    assert_equal(mask.unique(), tensor([0.0, 4.0]))
    assert_equal(pullback(tensor([1.0, 1.0, 1.0, 1.0]))[1], mask)


def test_value_and_grad() -> None:
    model = fdl.linear(1, 1, bias=False)
    params = {"weight": tensor([[3.0]])}
    value, grads = fdl.value_and_grad(model, fdl.mse())(params, tensor([[2.0]]), tensor([[4.0]]))
    assert_equal(value, tensor(4.0))
    assert_equal(grads, {"weight": tensor([[8.0]])})


def test_sgd() -> None:
    params, grads = {"a": {"b": tensor([1.0, 2.0])}}, {"a": {"b": tensor([4.0, -4.0])}}
    expected = {"a": {"b": tensor([0.0, 3.0])}}
    assert_equal(fdl.sgd(params, grads, 0.25), expected)
    assert_equal(fdl.sgd(params, grads, tensor(0.25)), expected)


def test_momentum() -> None:
    params, grads = {"a": tensor([1.0])}, {"a": tensor([2.0])}
    optimizer = fdl.momentum(mu=0.5)
    state = optimizer.init(params)
    params, state = optimizer.update(params, grads, state, 0.25)
    assert_equal(params, {"a": tensor([0.5])})
    params, state = optimizer.update(params, grads, state, 0.25)
    assert_equal(params, {"a": tensor([-0.25])})  # b = 0.5 · 2 + 2
    assert_equal(state, {"momentum_buffer": {"a": tensor([3.0])}})


def test_adam() -> None:
    params, grads = {"a": tensor([1.0])}, {"a": tensor([2.0])}
    optimizer = fdl.adam(beta1=0.5, beta2=0.75, eps=0.0)
    state = optimizer.init(params)
    params, state = optimizer.update(params, grads, state, 0.25)
    assert_equal(params, {"a": tensor([0.75])})  # m̂ = 2, v̂ = 4
    assert_equal(state["exp_avg"], {"a": tensor([1.0])})
    assert_equal(state["exp_avg_sq"], {"a": tensor([1.0])})
    params, state = optimizer.update(params, {"a": tensor([-4.0])}, state, tensor(1.0))
    # m = −1.5, m̂ = −2; v = 4.75, v̂ = 4.75 / (7 / 16)
    assert_equal(params, {"a": tensor([0.75 + 2 / (4.75 * 16 / 7) ** 0.5])})
    assert state["step"].item() == 2


def test_adamw_decays_by_the_rate() -> None:
    params, grads = {"a": tensor([8.0])}, {"a": tensor([2.0])}
    optimizer = fdl.adam(eps=0.0, weight_decay=0.5, decoupled=True)
    params, _ = optimizer.update(params, grads, optimizer.init(params), 0.25)
    assert_equal(params, {"a": tensor([8 * 0.875 - 0.25])})


def test_rmsprop() -> None:
    params, grads = {"a": tensor([1.0])}, {"a": tensor([2.0])}
    optimizer = fdl.rmsprop(alpha=0.75, eps=0.5)
    params, state = optimizer.update(params, grads, optimizer.init(params), 0.75)
    assert_equal(params, {"a": tensor([0.0])})  # 1 − 0.75 · 2 / (√1 + 0.5)
    assert_equal(state, {"square_avg": {"a": tensor([1.0])}})


def test_adagrad() -> None:
    params, grads = {"a": tensor([1.0])}, {"a": tensor([4.0])}
    optimizer = fdl.adagrad(lr_decay=1.0, initial_accumulator_value=9.0, eps=0.0)
    params, state = optimizer.update(params, grads, optimizer.init(params), 1.25)
    assert_equal(params, {"a": tensor([0.0])})  # 1 − 1.25 · 4 / √25
    params, state = optimizer.update(params, {"a": tensor([12.0])}, state, 6.5)
    assert_equal(params, {"a": tensor([-3.0])})  # −6.5 / 2 · 12 / √169
    assert_equal(state, {"step": tensor(2.0, dtype=torch.float64), "sum": {"a": tensor([169.0])}})
