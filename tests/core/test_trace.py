"""`trace` gives what step gives, to the bit, without it where it can and by it elsewhere."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, ones, rand

import functional_dl as fdl
from cases import LAYERS, LOSSES, OPTIMIZERS, Draw, same_bits, same_trees


class Counted:
    """A function that counts its calls."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f, self.calls = f, 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.f(*args)


class Pair(NamedTuple):
    """A tree with names."""

    a: Any
    b: Any


def training(model: fdl.Layer, donate: bool = False) -> Callable[..., tuple[Tensor, fdl.Params]]:
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())

    def step(params: fdl.Params, x: Tensor, t: Tensor) -> tuple[Tensor, fdl.Params]:
        loss, grads = loss_and_grads(params, x, t)
        return loss, fdl.sgd(params, grads, 0.1, donate=donate)

    return step


def network(activation: Callable[[], fdl.Layer], bias: bool = True) -> fdl.Layer:
    inner = fdl.sequential(fdl.linear(5, 5, bias), activation(), fdl.sequential())
    return fdl.sequential(fdl.linear(3, 5, bias), activation(), inner, fdl.linear(5, 2, bias))


X, T = rand(7, 3), rand(7, 2)


@pytest.mark.parametrize("name", LAYERS)
@given(rng=st.randoms(use_true_random=False))
def test_trains_as_step_does_to_the_bit_and_without_it(name: str, rng: Random) -> None:
    d, inference = Draw(rng), rng.random() < 0.5
    model, _, params, x = LAYERS[name].drawn(d)
    t = d.tensor(*model.apply(params, x).shape)
    with torch.inference_mode(inference):
        ours = theirs = fdl.tree_map(
            lambda p: p.clone(memory_format=torch.contiguous_format), params
        )
        step = Counted(training(model, donate=inference))
        traced = fdl.trace(step, ours, x, t)
        for _ in range(3):
            our_loss, ours = traced(ours, x, t)
            their_loss, theirs = step.f(theirs, x, t)
            assert same_bits(our_loss, their_loss)
            assert same_trees(ours, theirs)
    assert step.calls == 1


@pytest.mark.parametrize("name", LOSSES)
@given(rng=st.randoms(use_true_random=False))
def test_a_loss_is_traced_to_the_bit(name: str, rng: Random) -> None:
    loss, _, y, t = LOSSES[name].drawn(Draw(rng))

    def both(y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        value, pullback = loss.vjp(y, t)
        return value, pullback()

    with torch.inference_mode(rng.random() < 0.5):
        assert same_trees(fdl.trace(both, y, t)(y, t), both(y, t))


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(rng=st.randoms(use_true_random=False))
def test_an_optimizer_is_traced_to_the_bit(name: str, rng: Random) -> None:
    d = Draw(rng)
    params, grads = ({"p": d.tensor(3, 2), "q": d.tensor(3)} for _ in range(2))
    for lr in (0.1, torch.tensor(0.1)):
        step = partial(OPTIMIZERS[name].ours, lr=lr)
        assert same_trees(fdl.trace(step, params, grads)(params, grads), step(params, grads))


def test_nothing_passed_in_is_changed_or_kept() -> None:
    model = network(fdl.tanh)
    params = model.init()
    before = fdl.tree_map(torch.clone, params)
    traced = fdl.trace(training(model), params, X, T)
    first, _ = traced(params, X, T)
    traced(model.init(), X + 1, T)
    assert torch.equal(traced(params, X, T)[0], first)
    assert same_trees(params, before)


def test_code_is_what_it_does_line_by_line() -> None:
    def step(params: fdl.Params, x: Tensor) -> fdl.Params:
        return fdl.sgd(params, {"w": x.mT.exp()}, 0.5)

    traced: Any = fdl.trace(step, {"w": ones(2, 3)}, ones(3, 2))
    lines = traced.code.splitlines()
    assert lines[0] == "def forward(self, w_0, x_1):"
    assert [line.split(";")[0].strip() for line in lines[1:]] == [
        "getattr_1 = x_1.mT",
        "exp = getattr_1.exp()",
        "sub = torch.sub(w_0, exp, alpha = 0.5)",
        "return {'w': sub}",
    ]


OTHERS: dict[str, tuple[Any, ...]] = {
    "shape": ({"w": ones(2)}, ones(1), 2),
    "dtype": ({"w": ones(2).double()}, ones(2), 2),
    "stride": ({"w": ones(4)[::2]}, ones(2), 2),
    "device": ({"w": torch.empty(2, device="meta")}, torch.empty(2, device="meta"), 2),
    "number": ({"w": ones(2)}, ones(2), 3),
    "a leaf more": ({"w": ones(2), "b": ones(2)}, ones(2), 2),
    "a number for a tensor": ({"w": 1.5}, ones(2), 2),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_unlike_the_example_goes_to_step(what: str) -> None:
    step = Counted(lambda p, x, n: p["w"] * n + x)
    traced = fdl.trace(step, {"w": ones(2)}, ones(2), 2)
    assert torch.equal(traced({"w": ones(2) * 5}, ones(2), 2), ones(2) * 11)
    assert step.calls == 1
    args = OTHERS[what]
    expected = step.f(*args)
    assert traced(*args).is_meta if expected.is_meta else torch.equal(traced(*args), expected)
    assert step.calls == 2


def test_other_modes_of_autograd_go_to_step() -> None:
    step = Counted(lambda x: x.tanh())
    with torch.inference_mode():
        x = ones(2)
        within = fdl.trace(step, ones(2))
    for traced, arg in ((within, ones(2)), (fdl.trace(step, ones(2)), x)):
        before = step.calls
        traced(arg)
        assert step.calls == before + 1


def test_what_step_refuses_is_refused_in_its_words() -> None:
    model = network(fdl.relu)
    params = model.init()
    traced = fdl.trace(training(model), params, X, T)
    with pytest.raises(ValueError, match=r"^linear at 0: expected x of shape"):
        traced(params, X[:, :2], T)
    with pytest.raises(ValueError, match=r"^sequential: expected params with the"):
        traced({"0": params["0"]}, X, T)
    with pytest.raises(TypeError):
        traced(params)


@pytest.mark.parametrize(
    ("said", "step"),
    [
        ("item", lambda x: x * x.sum().item()),
        ("__bool__", lambda x: x if x.sum() > 0 else -x),
        ("__float__", lambda x: x * float(x[0])),
        ("__int__", lambda x: x * int(x[0])),
        ("__index__", lambda x: x[x.long()[0].__index__() :]),
        ("equal", lambda x: x if torch.equal(x, x) else -x),
        ("allclose", lambda x: x if torch.allclose(x, x) else -x),
        ("is_nonzero", lambda x: x if x[0].is_nonzero() else -x),
        ("__contains__", lambda x: x if 1.0 in x else -x),
        ("tolist", lambda x: x * x.tolist()[0]),
        ("numpy", lambda x: x * x.numpy()[0]),
        ("__setitem__", lambda x: x.clone().__setitem__(0, 2.0)),
        ("__repr__", lambda x: print(x)),
    ],
)
def test_refuses_a_step_that_asks_for_values(said: str, step: Callable[[Tensor], Any]) -> None:
    with pytest.raises(ValueError, match=f"^trace: expected operations that give .*, got {said}$"):
        fdl.trace(step, ones(2))


@pytest.mark.parametrize(
    "step",
    [
        lambda x: torch.cat(x.split(2)[::-1]),
        lambda x: x.sort(descending=True).values + x.max(0).values,
        lambda x: sum(part * i for i, part in enumerate(x.unbind())),
        lambda x: torch.stack([x, x * 2]).sum(0),
        lambda x: torch.stack([part * 2 for part in x]),
        lambda x: x[x.argsort()][1:] + x[:-1],
        lambda x: 2 - x / 3 + 1 / x - x**2 + -x @ x,
        lambda x: torch.einsum("i,j->ij", x, x),
        lambda x: x.new_full((), float("inf")) * x,
        lambda x: x.to(torch.float64) * torch.arange(4, dtype=torch.float64, device=x.device),
        lambda x: x.clone().add_(x).mul_(3),
        lambda x: x * x.sum(dim=0, keepdim=True).dim(),
        lambda x: x.contiguous().to(x.dtype) * CONSTANT.contiguous(),
        lambda x: torch.nn.functional.softplus(x, beta=2),
        lambda x: x * CONSTANT + CONSTANT,
        lambda x: [Pair(x, (x + 1, None)), {"n": 3, 2: x * 2}],
        lambda x: x,
    ],
)
def test_writes_all_kinds_of_operations(step: Callable[[Tensor], Any]) -> None:
    counted, x = Counted(step), rand(4)
    traced = fdl.trace(counted, x)
    x = rand(4)
    ours, theirs = traced(x), step(x)
    assert counted.calls == 1
    if isinstance(theirs, Tensor):
        assert torch.equal(ours, theirs)
        return
    assert type(ours[0]) is Pair
    assert torch.equal(ours[0].b[0], x + 1)
    assert ours[0].a is x
    assert ours[0].b[1] is None
    assert ours[1]["n"] == 3
    assert torch.equal(ours[1][2], x * 2)


CONSTANT = rand(4)


def test_what_cannot_be_written_fails_at_once() -> None:
    def nowhere(x: Tensor) -> Tensor:
        if torch.overrides.has_torch_function_unary(x):
            return torch.overrides.handle_torch_function(nowhere, (x,), x)
        return x * 2

    nowhere.__module__, nowhere.__qualname__ = "torch", "nowhere"
    with pytest.raises(ValueError, match=r"^trace: expected what can be written as .*nowhere"):
        fdl.trace(nowhere, ones(2))
    generator = torch.Generator()
    with pytest.raises(ValueError, match=r"^trace: expected what can be written as .*Syntax"):
        fdl.trace(lambda x: x + torch.rand(2, generator=generator), ones(2))


def test_a_tensor_that_the_example_has_twice_may_be_two() -> None:
    x = ones(2)
    traced = fdl.trace(lambda a, b: a - b, x, x)
    assert torch.equal(traced(x * 3, x), x * 2)


def test_takes_lists_tuples_and_named_tuples() -> None:
    step = Counted(lambda tree: tree[0].a * tree[0].b["k"] + tree[1][0])
    example = [Pair(ones(2), {"k": ones(2), 3: ones(1)}), (ones(2),)]
    traced = fdl.trace(step, example)
    x = rand(2)
    assert torch.equal(traced([Pair(x, {"k": x, 3: ones(1)}), (x,)]), x * x + x)
    assert step.calls == 1


def test_autograd_and_transforms_go_through_it_as_through_step() -> None:
    model = network(fdl.relu)
    params = model.init()
    traced = fdl.trace(training(model), params, X, T)

    def loss(f: Callable[..., Any], x: Tensor) -> Tensor:
        return f(f(params, x, T)[1], X, T)[0]

    for of in (torch.func.grad, lambda f: torch.func.jacrev(torch.func.grad(f))):
        ours, theirs = of(partial(loss, traced))(X), of(partial(loss, training(model)))(X)
        torch.testing.assert_close(ours, theirs)
    many = torch.stack([X, X + 1])
    ours, theirs = (torch.vmap(f, in_dims=(None, 0, None)) for f in (traced, training(model)))
    torch.testing.assert_close(ours(params, many, T)[0], theirs(params, many, T)[0])
