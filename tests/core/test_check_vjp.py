"""check_vjp catches every planted fault, by the right property, and no right layer or loss."""

import math
import re
from random import Random
from typing import Any

import pytest
import torch
from checked_layers import RIGHT, WRONG, Right, drawn, loss, rand
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import functional_dl as fdl
from proof.faults import (
    FAULTS,
    affine,
    count,
    dense,
    draw_right,
    layer,
    leaky_relu,
    mse,
    relu,
    tanh,
)

NUMBER = r"(-?\d\S*|nan|-?inf)"


def message(f: Any, *primals: Any, **how: Any) -> str:
    with pytest.raises(fdl.VjpError) as caught:
        fdl.check_vjp(f, *primals, **how)
    return str(caught.value)


@pytest.mark.parametrize("name", FAULTS)
def test_catches(name: str) -> None:
    fault = FAULTS[name]
    said = message(fault.broken(), *fault.primals())
    assert said.startswith(f"check_vjp: {fault.breaks}, ")
    if fault.breaks == 6:
        leaf = r"(0\.1\.)?(weight|bias)|x|y"
        numbers = f"analytic {NUMBER}, numeric {NUMBER}, tolerance {NUMBER}"
        assert re.fullmatch(rf"check_vjp: 6, .*: ({leaf})\[\d+(, \d+)*\]: {numbers}", said)


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


def test_a_message_tells_the_derivative_whichever_way_the_step_goes() -> None:
    c = torch.rand(1, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    for j, numeric in enumerate((c + c.sign())[0].tolist()):
        wrong = layer(
            y=lambda v: v.x * 1,
            x=lambda v, j=j: v.gy * (1 + (torch.arange(8) == j)),
        )
        said = message(wrong, {}, torch.ones(1, 8))
        got = re.findall(rf"x\[0, {j}\]: analytic {NUMBER}, numeric {NUMBER},", said)
        assert [*map(float, got[0])] == pytest.approx([2 * numeric, numeric])


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


def test_a_gradient_is_no_part_of_that_of_the_input() -> None:
    def ends(v: Any) -> Any:
        gx = v.gy * 1
        return {"of_last": gx[-1], "of_first": gx[0] * 1}, gx if v.wrt_input else None

    f = layer(
        y=lambda v: torch.cat([v.x[:1] + v.of_first, v.x[1:-1], v.x[-1:] + v.of_last]),
        of_first=lambda v: v.gy,
        of_last=lambda v: v.gy,
        x=lambda v: v.gy,
        returns=ends,
    )
    said = "check_vjp: 2, unlike: expected of_last to share no memory"
    assert message(f, {"of_first": rand(2), "of_last": rand(2)}, rand(3, 2)) == said


def test_there_are_faults_of_every_property() -> None:
    assert len(FAULTS) >= 35
    assert {fault.breaks for fault in FAULTS.values()} == set(range(1, 8))


@pytest.mark.parametrize("right", {fault.kind: None for fault in FAULTS.values()})
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
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.rand(1, 2, generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(3)]
    c, _, step = ((u + u.sign()).abs()[0].tolist() for u in drawn)  # with one for property 5

    said = message(relu(x=lambda v: 2 * v.gy), {}, x)
    rounding = 2**-47 * (c[0] + 2 * c[1] + 2 * (c[0] + 2 * c[1]))
    tolerance = rounding * 64 / step[0] + 2**-47 * 2 * c[0]  # for h = 1/64: 0 lies beyond 8h
    assert float(said.split("tolerance ")[1]) == pytest.approx(tolerance, rel=1e-4)

    said = message(relu(x=lambda v: v.gy.clamp(-4, 4)), {}, x)
    rounding = 2**-47 * 2 * (c[0] + 2 * c[1])
    assert float(said.split("tolerance ")[1]) == pytest.approx(1024 * rounding * 8**4, rel=1e-8)


@pytest.mark.parametrize(
    ("c", "x", "k"),
    [(0, 1.0, -5), (0, 1e12, -5), (1e9, 1e3, -2), (1e9, 1e-3, 3), (1e9, 1.0, -1), (1e9, 8.0, -1)],
)
def test_steps_are_as_large_as_they_must_be_up_to_the_largest_element_or_1(
    c: float, x: float, k: int
) -> None:
    """What isn't seen is what rounding hides from a step of 8ᵏ."""
    generator = torch.Generator().manual_seed(0)
    step = [torch.rand(1, generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(3)][2]
    unseen = fdl.check_vjp(plus(c), {}, torch.tensor([x], dtype=torch.float64))["x"]
    moved = 8.0**k * x * (step + step.sign()).abs().item()
    assert unseen == pytest.approx(2**-47 * (c + 2 * x) / moved, rel=0.01)


@pytest.mark.parametrize(
    ("f", "x", "calls"),
    [
        (fdl.tanh(), rand(4, 3), 12 * 4),
        (fdl.relu(), torch.tensor([[0.01, 600.0]]), 2 * 4),
        (fdl.relu(), torch.ones(2, 128), 256 * 4),
        (fdl.relu(), torch.tensor([[1.0, 0.0]]), 4 + 2 * 16),  # both ways by 8⁻¹⁵ to 1
        (fdl.relu(), torch.tensor([[0.0, 64.0]]), 2 * 18 + 4),
    ],
)
def test_an_element_takes_4_calls_and_some_40_at_a_kink(
    f: fdl.Layer, x: Tensor, calls: int
) -> None:
    moved = []

    def apply(params: fdl.Params, x_moved: Tensor) -> Tensor:
        moved.append(len(x_moved) > 0 and not torch.equal(x_moved, x.to(x_moved)))
        return f.apply(params, x_moved)

    fdl.check_vjp(f._replace(apply=apply), {}, x)
    assert sum(moved) == calls


@pytest.mark.parametrize("f", [fdl.relu(), leaky_relu(), relu()])
def test_kinks_everywhere(f: fdl.Layer) -> None:
    fdl.check_vjp(f, {}, torch.tensor([0.0, -0.0]).repeat(2, 65))  # more than 256


def test_a_kink_allows_its_sides_themselves() -> None:
    """With steps that are large beside x, only their own rounding is left of the tolerance."""
    for seed in range(20):
        x = torch.cat([torch.zeros(6), 1e-3 * rand(2, seed=seed)]).double()
        fdl.check_vjp(leaky_relu(), {}, x)


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


def test_kinks_hide_no_fault_in_smaller_elements_of_a_large_input() -> None:
    x = torch.tensor([1.0, 0.0, 2**-14]).repeat(100, 1)  # a zero counts as 2⁻⁷
    steeper = layer(
        y=lambda v: v.x.where(v.x >= 0, 2 * v.x),
        x=lambda v: v.gy.where(v.x >= 0, 2 * v.gy) * (1 + (v.x == 2**-14)),
    )
    assert "x[0, 2]: analytic" in message(steeper, {}, x)


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
    assert "6, not the derivative: x[1]" in message(root, {}, x)
    root = layer(y=lambda v: v.x.sqrt(), x=lambda v: v.gy / (2 * v.y).clamp(min=1e-3))
    assert "x[1]: analytic" in message(root, {}, x)
    assert "numeric nan, tolerance inf" in message(root, {}, x)


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
        (
            TypeError,
            (fdl.relu(), {}, torch.ones(1), torch.ones(1)),
            "a Layer or a Loss, and two primals, got relu() and 3 primals",
        ),
        (TypeError, (fdl.mse(), torch.ones(1), torch.ones(1), None), "primals[2] to be a floating"),
        (TypeError, (fdl.relu(), {"w": torch.tensor([1])}, torch.ones(1)), "w to be a floating"),
        (TypeError, (fdl.relu(), {}, (torch.ones(1), 2)), "x.1 to be a floating tensor, got 2"),
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


@pytest.mark.parametrize("batch", [-1, 2])
def test_rejects_a_batch_that_is_no_dimension(batch: int) -> None:
    said = f"^check_vjp: expected batch to be a dimension of a tensor with 2 of them, got {batch}"
    with pytest.raises(ValueError, match=said):
        fdl.check_vjp(fdl.relu(), {}, torch.ones(2, 3), batch=batch)
    fdl.check_vjp(fdl.relu(), {}, torch.ones(2, 3), batch=1)


# Layers and losses of many kinds, and slips in them


@pytest.mark.parametrize("name", RIGHT)
def test_flags_nothing_right_of_another_kind(name: str) -> None:
    right = RIGHT[name]
    unseen = fdl.check_vjp(right.made(), *right.primals(), **right.how)
    assert min(unseen.values(), default=0) >= 0


@pytest.mark.parametrize("name", WRONG)
def test_catches_slips_of_another_kind(name: str) -> None:
    wrong = WRONG[name]
    right = RIGHT[wrong.right]
    said = message(wrong.made(), *right.primals(), **right.how)
    assert said.startswith(f"check_vjp: {wrong.breaks}, ")


def test_there_are_forty_of_each() -> None:
    assert min(len(RIGHT), len(WRONG)) >= 40


# What can't be seen


def plus(c: float, off: float = 0) -> fdl.Layer:
    return layer(y=lambda v: v.x + c, x=lambda v: v.gy * (1 + off))


def test_returns_what_can_not_be_seen() -> None:
    x = rand(8, 5).double()
    unseen = {c: fdl.check_vjp(plus(c), {}, x)["x"] for c in (0, 1e6, 1e8, 1e12)}
    assert unseen[0] < 1e-6
    assert 1e-7 < unseen[1e6] < 1e-5
    assert unseen[1e8] == pytest.approx(100 * unseen[1e6], rel=0.01)
    assert unseen[1e12] > 1
    fdl.check_vjp(plus(1e12, off=0.1), {}, x)  # as it said


@pytest.mark.parametrize("samples", [8, 80])  # one element at a time, and all at once
@pytest.mark.parametrize("c", [0, 1e6])
def test_what_is_larger_is_seen(c: float, samples: int) -> None:
    x = rand(samples, 5).double()
    unseen = fdl.check_vjp(plus(c), {}, x)
    assert unseen.keys() == {"x"}
    assert "x[3, 2]: analytic" in message(one_off(c, 1.1 * unseen["x"]), {}, x)
    fdl.check_vjp(one_off(c, 1e-4 * unseen["x"]), {}, x)


def one_off(c: float, off: float) -> fdl.Layer:
    """Off in one element."""

    def back(v: Any) -> Tensor:
        gx = v.gy.clone()
        gx[3:4, 2] *= 1 + off
        return gx

    return layer(y=lambda v: v.x + c, x=back)


def test_what_can_not_be_seen_is_told_for_each_leaf() -> None:
    model = fdl.sequential(fdl.linear(3, 20), fdl.tanh(), fdl.linear(20, 20))
    params = model.init(torch.Generator().manual_seed(0))
    unseen = fdl.check_vjp(model, params, rand(4, 3))
    assert unseen.keys() == {"0.weight", "0.bias", "2.weight", "2.bias", "x"}
    assert max(unseen.values()) < 1e-3
    assert fdl.check_vjp(fdl.mse(), rand(4, 3), rand(4, 3, seed=1)).keys() == {"y"}
    assert fdl.check_vjp(*[RIGHT["embedding"].made(), *RIGHT["embedding"].primals()]).keys() == {
        "weight"
    }


def test_a_gradient_of_zeros_is_measured_by_the_largest_one() -> None:
    some = layer(y=lambda v: v.x.clamp(min=0), x=lambda v: v.gy.where(v.x > 0, 0))
    assert fdl.check_vjp(some, {}, torch.tensor([-1.0, 2.0]))["x"] < 1e-6
    none = layer(y=lambda v: v.x * 0, x=lambda v: v.gy * 0)
    assert fdl.check_vjp(none, {}, torch.tensor([-1.0, 2.0]))["x"] < 1e-6


# In words


def test_tells_what_a_vjp_and_a_pullback_must_return() -> None:
    def eager(**returns: Any) -> fdl.Layer:
        return fdl.Layer(dict, lambda _, x: x * 1, lambda _, x: returns["of"](x))

    x = torch.ones(2, 3)
    two = "pullback(gy, wrt_input=…) to return (grads, gx), got "
    for f, said in {
        eager(of=lambda x: x * 1): "vjp to return (y, pullback), got tensor[2, 3]",
        eager(of=lambda x: (x * 1, x)): "vjp to return (y, pullback), got ('tensor[2, 3]', 'te",
        tanh(returns=lambda v: v.gy): f"{two}tensor[2, 3]",
        tanh(returns=lambda v: None): f"{two}None",
        tanh(returns=lambda v: (v.grads, v.gx, v.gx)): f"{two}({{}}, 'tensor[2, 3]', 'te",
        tanh(returns=lambda v: (v.grads, v.gx) if v.wrt_input else v.grads): f"{two}{{}}",
    }.items():
        assert message(f, {}, x).startswith(f"check_vjp: 2, unlike: expected {said}")

    lists = tanh(returns=lambda v: [v.grads, v.gx])
    fdl.check_vjp(lists, {}, x)


def test_tells_that_a_pullback_must_take_wrt_input() -> None:
    f = fdl.Layer(dict, lambda _, x: x * 1, lambda _, x: (x * 1, lambda gy: ({}, gy)))
    said = message(f, {}, torch.ones(2))
    assert said.startswith("check_vjp: 2, unlike: expected pullback to take wrt_input, got test_")

    def breaks(v: Any) -> Tensor:
        if not v.wrt_input:
            raise TypeError("its own")
        return v.bias

    with pytest.raises(TypeError, match=r"^its own$"):
        fdl.check_vjp(affine(bias=breaks), fdl.linear(3, 2).init(), torch.ones(4, 3))


def test_tells_that_a_value_must_be_a_floating_tensor() -> None:
    x = torch.ones(2, 3)
    said = message(tanh(y=lambda v: (v.x, v.x)), {}, x)
    assert said.startswith("check_vjp: 1, values differ: apply: expected value to be a floating te")
    assert "got (tensor([[1." in said
    said = message(tanh(apply=lambda v: v.x.tanh(), y=lambda v: v.x.int()), {}, x)
    assert said.startswith("check_vjp: 1, values differ: vjp: expected value to be a floating te")
    assert said.endswith("got a int32 tensor of shape (2, 3)")


def test_tells_where_a_gradient_is_not_finite() -> None:
    half = WRONG["NaN in half precision alone"].made()
    number = r"gradient nan, in_float64 -?1\.\d+"
    said = message(half, {}, torch.tensor([[1.0, 12.0]], dtype=torch.float16))
    assert re.fullmatch(rf"check_vjp: 2, unlike: x\[0, 1\]: {number}", said)
    said = message(half, {}, torch.tensor(12.0, dtype=torch.float16))
    assert re.fullmatch(rf"check_vjp: 2, unlike: x: {number}", said)


def test_tells_that_it_calls_f_in_float64() -> None:
    half = tanh(y=lambda v: (v.x @ torch.eye(3, dtype=torch.float16)).tanh())
    with pytest.raises(RuntimeError) as caught:
        fdl.check_vjp(half, {}, torch.ones(2, 3, dtype=torch.float16))
    assert caught.value.__notes__ == ["check_vjp: this call of vjp was in float64"]


# Purity


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    seeds = WRONG["seeds the global generator"].made()
    assert "4, impure: expected the state of the global generator" in message(seeds, {}, rand(2))
    assert torch.equal(torch.get_rng_state(), state)
    fdl.check_vjp(fdl.relu(), {}, rand(2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("x", [torch.tensor(0.5), rand(3), rand(1, 3), rand(4, 3)])
def test_a_residual_of_the_last_call_is_noticed_in_any_shape(x: Tensor) -> None:
    fault = FAULTS["tanh: the residual of the last call"]
    assert message(fault.broken(), {}, x).startswith("check_vjp: 4, impure: x")


def test_a_param_of_the_last_call_is_noticed_in_a_single_number() -> None:
    wrong = layer(
        y=lambda v: v.kept.update(w=v.w) or v.x * v.w,
        w=lambda v: (v.gy * v.x).sum(),
        x=lambda v: v.gy * v.kept["w"],
    )
    assert message(wrong, {"w": torch.tensor(0.5)}, rand(1)).startswith("check_vjp: 4, impure: x")


def test_a_prediction_of_the_last_call_is_noticed_in_a_single_number() -> None:
    wrong = mse(
        value=lambda v: v.kept.update(y=v.y) or (v.y - v.t).square(),
        y=lambda v: 2 * (v.kept["y"] - v.t),
    )
    assert message(wrong, torch.tensor(0.5), torch.tensor(2.0)).startswith(
        "check_vjp: 4, impure: y"
    )


def test_other_primals_are_taken_from_the_domain() -> None:
    """Of integers and targets each is one of those given; what isn't in the domain is let be."""
    seen: list[Tensor] = []
    table = RIGHT["embedding"]
    watched = table.made(y=lambda v: seen.append(v.x) or table.lines["y"](v))
    fdl.check_vjp(watched, *table.primals())
    assert {i for x in seen for i in x.flatten().tolist()} == {0, 1, 2, 4}

    seen.clear()
    squares = {"value": lambda v: (seen.append(v.t), (v.y - v.t).square().mean())[1]}
    fdl.check_vjp(mse(**squares), rand(4, 3), torch.tensor([[0.25, 0.5, 0.25]] * 4))
    assert all(torch.equal(t.sum(-1), torch.ones(len(t), dtype=t.dtype)) for t in seen)


@pytest.mark.parametrize("takes", ["all", "a batch reversed", "itself"])
def test_a_residual_of_the_last_call_is_noticed_in_any_domain(takes: str) -> None:
    def within(x: Tensor) -> bool:
        largest = {"all": 9, "a batch reversed": 0.8, "itself": 0.6}[takes]
        return takes == "all" or not len(x) or 0 < float(x[0, 0]) < largest

    def guarded(v: Any) -> Tensor:
        if not within(v.x):
            raise ValueError("out of the domain")
        return v.x.tanh()

    x = torch.tensor([[0.5, -1.0], [0.75, -2.0]])
    fdl.check_vjp(tanh(y=guarded), {}, x)
    wrong = tanh(
        y=lambda v: v.kept.update(y=guarded(v)) or v.kept["y"],
        x=lambda v: v.gy * (1 - v.kept["y"] ** 2),
    )
    if takes != "itself":
        assert message(wrong, {}, x).startswith("check_vjp: 4, impure: x[0, 0]")


def test_a_fault_at_other_primals_is_told() -> None:
    x = torch.tensor([[1.0, 2.0]])
    said = message(tanh(x=lambda v: v.gy if v.x[0, 0] == 1 else v.gy[0]), {}, x)
    assert said.startswith("check_vjp: 2, unlike: gradient: expected x to be")


def test_gradients_may_be_written_into() -> None:
    zeros = torch.zeros(3, 2)  # handed out in turns

    def frozen(v: Any) -> Tensor:
        return zeros[count(v, "frozen") % 3]

    f = RIGHT["a frozen factor"]
    wrong = f.made(frozen=frozen)
    assert message(wrong, *f.primals()).startswith("check_vjp: 4, impure: frozen[0]: first 0")


def test_gradients_may_be_expanded() -> None:
    total = layer(y=lambda v: v.x + v.w.sum(), w=lambda v: v.gy.sum().expand(2), x=lambda v: v.gy)
    fdl.check_vjp(total, {"w": rand(2)}, rand(3))


def test_gradients_made_in_inference_mode_may_be_written_into() -> None:
    f = layer(y=lambda v: v.x + v.w, w=torch.inference_mode()(lambda v: v.gy * 1), x=lambda v: v.gy)
    fdl.check_vjp(f, {"w": rand(3)}, rand(3))


# Layers that are made of layers


def doubled(grads: float = 1, cotangent: float = 1) -> fdl.Layer:
    """Y = f(X), but its gradients or its cotangent are multiplied."""

    @fdl.layer
    def made(f: fdl.Layer) -> fdl.Maths:
        def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
            y, pullback_of_f = f.vjp(params["f"], cotangent * x)

            def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[Any, Any]:
                of_f, gx = pullback_of_f(gy, wrt_input=wrt_input)
                of_f = fdl.tree_map(lambda g: g * grads, of_f)
                return {"f": of_f}, gx * cotangent if wrt_input else None

            return y / grads, pullback

        return fdl.Maths(vjp, layers={"f": f})

    return made(fdl.linear(3, 2, bias=False))


def test_a_layer_of_layers_hands_on_their_gradients_as_they_are() -> None:
    params = doubled().init(torch.Generator().manual_seed(0))
    fdl.check_vjp(doubled(), params, rand(4, 3))
    fdl.check_vjp(doubled(cotangent=3), params, rand(4, 3))
    said = message(doubled(grads=2), params, rand(4, 3))
    assert said.startswith("check_vjp: 2, unlike: f.weight[0, 0]: update ")


# The batch, layouts and devices


def test_a_batch_may_be_another_dimension() -> None:
    over_time = RIGHT["maximum over time"].made()
    x = rand(5, 3, 2)
    fdl.check_vjp(over_time, {}, x, batch=1)
    assert "7, a batch of none: IndexError" in message(over_time, {}, x)
    fault = FAULTS["linear: first sample of a batch of none"]
    assert "7, a batch of none: IndexError" in message(fault.broken(), *fault.primals())
    fdl.check_vjp(fault.broken(), *fault.primals(), batch=None)
    swapped = affine(
        y=lambda v: torch.addmm(v.bias[:, None], v.weight, v.x),
        weight=lambda v: v.gy @ v.x.t(),
        bias=lambda v: v.gy[:, 0] + v.gy[:, 1:].sum(1),
        x=lambda v: v.weight.t() @ v.gy,
    )
    params = fdl.linear(3, 2).init(torch.Generator().manual_seed(0))
    assert "7, a batch of none: IndexError" in message(swapped, params, rand(3, 4), batch=1)
    fdl.check_vjp(swapped, params, rand(3, 4), batch=None)


def test_what_is_as_long_as_the_batch_is_cut_with_it() -> None:
    def value(v: Any) -> Tensor:
        assert len(v.y) == len(v.t) == len(v.u["of_samples"])
        assert len(v.u["of_features"]) == 3
        assert v.u["scale"].dim() == 0
        return (v.u["scale"] * v.u["of_samples"][:, None] * (v.y - v.t) * v.u["of_features"]).sum()

    linear = loss(
        value=value,
        y=lambda v: v.u["scale"] * v.u["of_samples"][:, None] * v.u["of_features"].expand_as(v.y),
    )
    others = {"of_samples": rand(4), "of_features": rand(3), "scale": torch.tensor(2.0)}
    fdl.check_vjp(linear, rand(4, 3), rand(4, 3, seed=1), others)


def test_a_batch_of_none_may_have_an_output() -> None:
    total = Right(
        {
            "y": lambda v: v.x.sum(0) + v.w,
            "w": lambda v: v.gy * 1,
            "x": lambda v: v.gy.expand_as(v.x),
        },
        drawn(4, 3, w=rand(3)),
    )
    fdl.check_vjp(total.made(), *total.primals())
    wrong = total.made(w=lambda v: v.gy * (len(v.x) > 0))
    said = message(wrong, *total.primals())
    assert said.startswith("check_vjp: 7, a batch of none: 6, not the derivative: w[0]: analytic 0")


def test_strided_primals_give_the_same() -> None:
    def factor(v: Any) -> float:
        return 1.0 if v.x.is_contiguous() else 2.0

    wrong = layer(y=lambda v: v.x * factor(v), x=lambda v: v.gy * factor(v))
    said = message(wrong, {}, torch.tensor([[1.0, 2.0]]))
    where = "7, strided with NaN in the gaps: 1, values differ: value[0, 0]"
    assert said.startswith(f"check_vjp: {where}: contiguous 1, strided 2, tolerance ")

    wrong = layer(y=lambda v: v.x * 1, x=lambda v: v.gy * factor(v))
    said = message(wrong, {}, torch.tensor([[1.0, 2.0]]))
    where = "7, strided with NaN in the gaps: 6, not the derivative: x[0, 0]"
    assert said.startswith(f"check_vjp: {where}: contiguous ")


def test_gaps_between_integers_are_not_read() -> None:
    table = RIGHT["embedding"]
    wrong = table.made(y=lambda v: torch.embedding(v.weight, dense(v.x)))
    said = message(wrong, *table.primals())
    assert said.startswith("check_vjp: 7, strided with NaN in the gaps: ")


@pytest.mark.parametrize("name", ["embedding", "squares, masked", "attention", "a frozen factor"])
def test_runs_under_another_default_device(name: str) -> None:
    right = RIGHT[name]
    f, primals = right.made(), right.primals()
    before = fdl.check_vjp(f, *primals)
    with torch.device("meta"):
        assert fdl.check_vjp(f, *primals) == before
        fdl.check_vjp(fdl.tanh(), {}, primals[-1] * 1.0)
        assert "x: analytic" in message(tanh(x=lambda v: v.gy), {}, torch.tensor(0.5, device="cpu"))
