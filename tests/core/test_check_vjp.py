"""check_vjp catches every planted fault, by the right property, and no right layer or loss."""

import math
import re
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import functional_dl as fdl
from proof.faults import FAULTS, affine, draw_right, layer, leaky_relu, mse, relu, tanh

NUMBER = r"(-?\d\S*|nan|-?inf)"


def message(f: Any, *primals: Any) -> str:
    with pytest.raises(fdl.VjpError) as caught:
        fdl.check_vjp(f, *primals)
    return str(caught.value)


@pytest.mark.parametrize("name", FAULTS)
def test_catches(name: str) -> None:
    fault = FAULTS[name]
    said = message(fault.broken(), *fault.primals())
    assert said.startswith(f"check_vjp: {fault.breaks}, ")
    if fault.breaks == 6:
        leaf = r"(0\.1\.)?(weight|bias)|x|y"
        numbers = f"analytic {NUMBER}, numeric {NUMBER}, tolerance {NUMBER}"
        assert re.fullmatch(rf"check_vjp: 6, .*: ({leaf})\[\d+(, \d+)?\]: {numbers}", said)


SHAPE = "a float32 tensor of shape"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "linear: no gradient of the bias",
            "2, unlike: gradient: expected the structure {'': {'weight': '…', 'bias': '…'}, "
            "'x': '…'}, got {'': {'weight': '…'}, 'x': '…'}",
        ),
        (
            "linear: bias not summed",
            f"2, unlike: gradient: expected bias to be {SHAPE} (2,), got {SHAPE} (4, 2)",
        ),
        (
            "mse: not reduced",
            f"1, values differ: vjp: expected value to be {SHAPE} (), got {SHAPE} (4, 3)",
        ),
        (
            "tanh: epsilon added",
            "5, not linear: x[0, 0]: of_parts 0, of_whole 1e-08, tolerance 0",
        ),
        (
            "linear: mean of a batch of none",
            "7, a batch of none: 5, not linear: bias[0]: of_parts nan, of_whole nan, tolerance 0",
        ),
        (
            "linear: reads the cotangent's gaps",
            "7, strided with NaN in the gaps: 5, not linear: bias[0]: of_parts nan, of_whole nan, "
            "tolerance 0",
        ),
    ],
)
def test_a_message_tells_what_was_expected_and_what_came(name: str, said: str) -> None:
    fault = FAULTS[name]
    assert message(fault.broken(), *fault.primals()) == f"check_vjp: {said}"


def test_a_message_tells_apart_what_it_tells_of() -> None:
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    off = tanh(apply=lambda v: v.x.tanh().nextafter(v.x))
    y = x.tanh()[0, 0].item()
    above = math.nextafter(y, 1)
    numbers = f"apply {above:.17g}, vjp {y:.17g}"
    assert message(off, {}, x) == f"check_vjp: 1, values differ: value[0, 0]: {numbers}"

    loss = fdl.Loss(lambda y, t: fdl.mse().apply(y, t) + 1, fdl.mse().vjp)
    assert message(loss, x, x) == "check_vjp: 1, values differ: value: apply 1, vjp 0"

    rows = mse(value=lambda v: (v.y - v.t).square().sum(1))
    assert ": vjp: expected value to be a float64 tensor of shape (), got" in message(rows, x, x)

    eager = tanh(returns=lambda v: (v.grads, v.gy))
    assert "2, unlike: expected None for x with wrt_input=False, got tensor([[" in message(
        eager, {}, x
    )

    c = torch.rand(1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    c = float((c + c.sign())[0, 0])
    twice = layer(y=lambda v: 2 * v.x, x=lambda v: v.gy)
    said = f"check_vjp: 6, not the derivative: x[0, 0]: analytic {c:.10g}, numeric {2 * c:.10g}, "
    assert message(twice, {}, x).startswith(said)


def test_params_may_share_a_tensor() -> None:
    both = layer(
        y=lambda v: v.x * v.a + v.x * v.b,
        a=lambda v: (v.gy * v.x).sum(),
        b=lambda v: (v.gy * v.x).sum(),
        x=lambda v: v.gy * (v.a + v.b),
    )
    shared = torch.tensor(2.0, dtype=torch.float64)
    fdl.check_vjp(both, {"a": shared, "b": shared}, torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("shared", ["nothing", "cotangent", "input", "params"])
def test_gradients_of_params_share_memory_with_nothing_else(shared: str) -> None:
    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[fdl.Params, Tensor | None]:
            a, b = torch.stack([gy, gy])  # one after the other in one piece of memory
            a, b = {"cotangent": (gy, b), "params": (a, a)}.get(shared, (a, b))
            gx = b if shared == "input" else gy  # whose memory may be the cotangent's
            return {"a": a, "b": b}, gx if wrt_input else None

        return x + params["a"] + params["b"], pullback

    f = fdl.Layer(lambda *_, **__: {}, lambda params, x: vjp(params, x)[0], vjp)
    a, b, x = torch.rand(3, 2)
    if shared == "nothing":
        fdl.check_vjp(f, {"a": a, "b": b}, x)
    else:
        name = "a" if shared == "cotangent" else "b"
        said = f"check_vjp: 2, unlike: expected {name} to share no memory"
        assert message(f, {"a": a, "b": b}, x) == said


def test_a_gradient_is_no_part_of_the_cotangent() -> None:
    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        y = torch.cat([x[:-1], x[-1:] + params["of_last"]])
        return y, lambda gy, *, wrt_input=True: ({"of_last": gy[-1]}, gy if wrt_input else None)

    f = fdl.Layer(lambda *_, **__: {}, lambda params, x: vjp(params, x)[0], vjp)
    said = "check_vjp: 2, unlike: expected of_last to share no memory"
    assert message(f, {"of_last": torch.rand(2)}, torch.rand(3, 2)) == said


def test_a_pullback_returns_two() -> None:
    three = tanh(returns=lambda v: (v.grads, v.gx, v.gx))
    with pytest.raises(ValueError, match="longer"):
        fdl.check_vjp(three, {}, torch.ones(2, 3))


def test_there_are_faults_of_every_property() -> None:
    assert len(FAULTS) >= 35
    assert {fault.breaks for fault in FAULTS.values()} == set(range(1, 8))


@pytest.mark.parametrize("right", [affine, relu, tanh, mse])
def test_the_faults_are_slips_of_right_ones(right: Any) -> None:
    fault = next(fault for fault in FAULTS.values() if fault.kind is right)
    fdl.check_vjp(right(), *fault.primals())


@settings(max_examples=100)
@given(rng=st.builds(Random, st.integers(0, 2**32)))
def test_flags_nothing_right(rng: Random) -> None:
    f, primals = draw_right(rng)
    fdl.check_vjp(f, *primals)


def test_flags_nothing_right_in_inference_mode() -> None:
    model = fdl.sequential(fdl.linear(3, 4), fdl.relu(), fdl.linear(4, 2), fdl.tanh())
    with torch.inference_mode():
        fdl.check_vjp(model, model.init(torch.Generator().manual_seed(0)), torch.ones(2, 3))


def test_a_single_number_is_enough() -> None:
    fdl.check_vjp(fdl.tanh(), {}, torch.tensor(0.5))
    fdl.check_vjp(fdl.mse(), torch.tensor(0.5), torch.tensor(2.0))
    assert "x: analytic" in message(tanh(x=lambda v: v.gy * v.y), {}, torch.tensor(0.5))


def test_the_tolerance_is_the_one_derived() -> None:
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)  # where relu is x itself
    u = torch.rand(1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    c = (u + u.sign()).abs()[0].tolist()

    said = message(relu(x=lambda v: 2 * v.gy), {}, x)
    rounding = 2**-47 * (c[0] + 2 * c[1] + 2 * 2 * sum(c))
    tolerance = (rounding * 8**4 + 2**-47 * 2 * 2 * c[0]) / 2
    assert float(said.split("tolerance ")[1]) == pytest.approx(tolerance, rel=1e-8)

    said = message(relu(x=lambda v: v.gy.clamp(-4, 4)), {}, x)
    rounding = 2**-47 * (c[0] + 2 * c[1] + 2 * sum(c))
    assert float(said.split("tolerance ")[1]) == pytest.approx(1024 * rounding * 8**4 / 2, rel=1e-8)


@pytest.mark.parametrize("f", [fdl.relu(), leaky_relu(), relu()])
def test_kinks_everywhere(f: fdl.Layer) -> None:
    fdl.check_vjp(f, {}, torch.tensor([0.0, -0.0]).repeat(2, 65))  # more than 256


@pytest.mark.parametrize("at_zero", [-0.01, 1.01])
def test_a_kink_allows_what_lies_between_its_sides(at_zero: float) -> None:
    def at_kink(slope: float) -> fdl.Layer:
        return relu(x=lambda v: v.gy * ((v.x > 0) + slope * (v.x == 0)))

    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    for slope in (0.0, 0.5, 1.0):
        fdl.check_vjp(at_kink(slope), {}, x)
    assert "6, not the derivative: x[0, 1]" in message(at_kink(at_zero), {}, x)
    big = torch.randn(30, 30, generator=torch.Generator().manual_seed(0)).index_fill(
        1, torch.tensor(7), 0
    )
    assert re.search(r"6, not the derivative: x\[\d+, 7\]", message(at_kink(at_zero), {}, big))


def test_kinks_hide_no_fault_in_a_large_input() -> None:
    x = torch.randn(30, 30, generator=torch.Generator().manual_seed(0))
    x[:, ::2] = 0
    wrong = relu(x=lambda v: v.gy.where(v.y > 0, 0) * (1 + 0.01 * (v.y == v.y.max())))
    index = [int(i) for i in (x == x.max()).nonzero()[0]]
    assert f"x{index}: analytic" in message(wrong, {}, x)


def test_kinks_nearby_do_not_count() -> None:
    x = torch.tensor([[1e-4, -1e-6, 1e-8, -1e-10, 1.0]], dtype=torch.float64)
    fdl.check_vjp(fdl.relu(), {}, x)
    assert "x[0, 1]: analytic" in message(relu(x=lambda v: v.gy.where(v.x > -1e-5, 0)), {}, x)


def test_the_target_of_a_loss_may_be_integers() -> None:
    def picked(v: Any) -> torch.Tensor:
        return -v.y.log_softmax(-1).gather(-1, v.t[:, None]).sum()

    def back(v: Any) -> torch.Tensor:
        return v.y.softmax(-1) - torch.eye(3, dtype=v.y.dtype)[v.t]

    y = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0, 2, 1, 2])
    fdl.check_vjp(mse(value=picked, y=back), y, t)
    wrong = mse(value=picked, y=lambda v: v.y.softmax(-1))
    assert "y[0, 0]: analytic" in message(wrong, y, t)


def test_a_derivative_that_does_not_exist_fails() -> None:
    root = layer(y=lambda v: v.x.sqrt(), x=lambda v: v.gy / (2 * v.y).clamp(min=1e-9))
    x = torch.tensor([1.0, 0.0])
    fdl.check_vjp(root, {}, x[:1])
    assert "numeric nan" in message(root, {}, x)


def test_what_is_passed_stays_as_it_was() -> None:
    params, x = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}, torch.ones(4, 3)
    decays = affine(y=lambda v: torch.addmm(v.bias, v.x.mul_(2), v.weight.mul_(2).t()))
    assert ": 3, changed: weight[0, 0]: before 1, after 2" in message(decays, params, x)
    assert all(torch.equal(t, torch.ones_like(t)) for t in (x, *params.values()))


def test_reports_a_parameter_under_the_name_of_the_input() -> None:
    shift = layer(y=lambda v: v.x + v.shift["x"], shift=lambda v: {"x": -v.gy}, x=lambda v: v.gy)
    x = torch.ones(2, 3)
    assert "shift.x[0, 0]: analytic" in message(shift, {"shift": {"x": x}}, x)


def test_is_repeatable() -> None:
    fault = FAULTS["linear: 1 % off in one of 4,096"]
    assert message(fault.broken(), *fault.primals()) == message(fault.broken(), *fault.primals())


def test_errors_of_the_layer_get_through() -> None:
    with pytest.raises(ValueError, match="linear: expected x"):
        fdl.check_vjp(fdl.linear(3, 2), fdl.linear(3, 2).init(), torch.ones(4, 5))


INTS, ONES = "a int64 tensor of shape (1,)", "a float32 tensor of shape (1,)"


@pytest.mark.parametrize(
    ("error", "args", "said"),
    [
        (
            TypeError,
            (max, {}, torch.ones(1)),
            f"a Layer or a Loss, and two primals, got {max} and 2 p",
        ),
        (
            TypeError,
            (fdl.relu(), torch.ones(1)),
            "a Layer or a Loss, and two primals, got relu() and",
        ),
        (TypeError, (fdl.relu(), torch.ones(1), {}), f"params to be a dict, got {ONES}"),
        (TypeError, (fdl.relu(), {}, torch.tensor([1])), f"x to be a floating tensor, got {INTS}"),
        (TypeError, (fdl.relu(), {}, 1.0), "x to be a floating tensor, got 1.0"),
        (TypeError, (fdl.relu(), {"0": {"w": None}}, torch.ones(1)), "0.w to be a floating tensor"),
        (
            TypeError,
            (fdl.mse(), torch.tensor([1]), torch.ones(1)),
            f"y to be a floating tensor, got {INTS}",
        ),
        (TypeError, (fdl.mse(), torch.ones(1), None), "t to be a floating tensor, got None"),
        (
            ValueError,
            (fdl.relu(), {}, torch.tensor([torch.nan])),
            "x to be finite, got tensor([nan])",
        ),
    ],
)
def test_rejects(error: type[Exception], args: tuple[Any, ...], said: str) -> None:
    with pytest.raises(error) as caught:
        fdl.check_vjp(*args)
    assert str(caught.value).startswith(f"check_vjp: expected {said}")
