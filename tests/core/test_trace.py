"""`trace` gives what step gives, to the bit, without it where it can and by it elsewhere."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, ones, rand

import functional_dl as fdl
from cases import LAYERS, LOSSES, OPTIMIZERS, Draw, default_dtype, same_bits, same_trees


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
@settings(max_examples=8)  # each is recorded, which takes its time
@given(rng=st.randoms(use_true_random=False))
def test_trains_as_step_does_to_the_bit_and_without_it(name: str, rng: Random) -> None:
    d, inference = Draw(rng), rng.random() < 0.5
    model, _, params, x = LAYERS[name].drawn(d)
    t = d.tensor(*model.apply(params, x).shape)
    with torch.inference_mode(inference):
        first = ours = theirs = fdl.tree_map(
            lambda p: p.clone(memory_format=torch.contiguous_format), params
        )
        step = training(model, donate=inference)
        traced = fdl.trace(step, ours, x, t)
        for _ in range(3):
            our_loss, ours = traced(ours, x, t)
            their_loss, theirs = step(theirs, x, t)
            assert same_bits(our_loss, their_loss)
            assert same_trees(ours, theirs)
    leaves = zip(fdl.tree_leaves(first), fdl.tree_leaves(ours), strict=True)
    if all(a.stride() == b.stride() for a, b in leaves):  # else the second call falls back
        assert traced.fallbacks == 0


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
    optimizer = OPTIMIZERS[name].ours(**OPTIMIZERS[name].options(rng))
    given = params, grads, optimizer.init(params)
    for lr in (0.1, torch.tensor(0.1)):
        step = partial(optimizer.update, lr=lr)
        assert same_trees(fdl.trace(step, *given)(*given), step(*given))


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

    traced = fdl.trace(step, {"w": ones(2, 3)}, ones(3, 2))
    lines = traced.code.splitlines()
    assert lines[0] == "def forward(self, w, x):"
    assert [line.split(";")[0].strip() for line in lines[1:]] == [
        "getattr_1 = x.mT",
        "exp = getattr_1.exp()",
        "_foreach_sub = torch._foreach_sub([w], [exp], alpha = 0.5)",
        "getitem = _foreach_sub[0]",
        "return {'w': getitem}",
    ]


def test_code_says_which_numbers_its_constants_are() -> None:
    half, rows = torch.tensor(0.5), ones(2, 2)
    lines = fdl.trace(lambda x: x * half + rows, ones(2)).code.splitlines()
    assert [line.split(";")[0].strip() for line in lines] == [
        "# constant = 0.5",
        "def forward(self, constant_1, constant, x):",
        "mul = x.mul(constant)",
        "add = mul.add(constant_1)",
        "return add",
    ]


OTHERS: dict[str, tuple[Any, ...]] = {
    "args[0]['w']: shape": ({"w": ones(2)}, ones(1), 2),
    "args[0]['w']: dtype": ({"w": ones(2).double()}, ones(2), 2),
    "args[0]['w']: stride": ({"w": ones(4)[::2]}, ones(2), 2),
    "args[1]: shape": ({"w": ones(2)}, ones(1), 2),
    "args[2]: number": ({"w": ones(2)}, ones(2), 3),
    "args[2]: float": ({"w": ones(2)}, ones(2), 2.0),
    "args[2]: tensor": ({"w": ones(2)}, ones(2), torch.tensor(2)),
    "args[0]: a leaf more": ({"w": ones(2), "b": ones(2)}, ones(2), 2),
    "args[0]: another key": ({"v": ones(2)}, ones(2), 2),
    "args[0]['w']: a number for a tensor": ({"w": 1.5}, ones(2), 2),
    "args: an argument more": ({"w": ones(2)}, ones(2), 2, 1),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_unlike_the_example_goes_to_step_and_one_can_ask_why(what: str) -> None:
    def step(p: fdl.Params, x: Tensor, n: float, *more: int) -> Tensor:
        return next(iter(p.values())) * n + x

    traced = fdl.trace(step, {"w": ones(2)}, ones(2), 2)
    assert torch.equal(traced({"w": ones(2) * 5}, ones(2), 2), ones(2) * 11)
    assert (traced.fallbacks, traced.why) == (0, "")
    args = OTHERS[what]
    if "shape" in what and what.startswith("args[0]"):
        args = ({"w": ones(1)}, *args[1:])
    assert torch.equal(traced(*args), step(*args))
    assert traced.fallbacks == 1
    assert traced.why == f"expected {what.split(':')[0]} as in the example"


LIKE_EXAMPLES: list[tuple[Any, Any]] = [
    (1, True),
    (0.0, -0.0),
    (1j, complex(-0.0, 1)),
    ((1, 2), [1, 2]),
    ((1, 2), Pair(1, 2)),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({}, []),
    (None, False),
    ("1", 1),
    (torch.float32, torch.float64),
]


@pytest.mark.parametrize(("example", "other"), LIKE_EXAMPLES)
def test_numbers_and_trees_are_told_apart_by_type_sign_and_order(example: Any, other: Any) -> None:
    traced = fdl.trace(lambda x, tree: (x + 1, tree), ones(2), example)
    for tree, fallbacks in ((example, 0), (other, 1), (example, 1)):
        _, given = traced(ones(2), tree)
        assert repr(given) == repr(tree)
        assert traced.fallbacks == fallbacks


def test_strides_of_a_single_row_are_told_apart_though_any_are_contiguous() -> None:
    row = ones(1, 2)
    traced = fdl.trace(lambda x: x + 1, row)
    assert row.as_strided((1, 2), (5, 1)).is_contiguous()
    for x, fallbacks in ((row, 0), (row.as_strided((1, 2), (5, 1)), 1)):
        assert torch.equal(traced(x), row + 1)
        assert traced.fallbacks == fallbacks


def test_no_key_is_taken_for_another_name() -> None:
    keys = (
        "tree",
        "W",
        "w",
        "\u00e9",
        "1x",
        "x",
        "x_1",
        "self",
        "lambda",
        "exp",
        "args",
        "torch",
        3,
    )

    def step(p: dict[Any, Tensor]) -> Tensor:
        total = torch.zeros(())
        for i, k in enumerate(keys):
            total = total + p[k].exp() * i
        return total

    traced = fdl.trace(step, {k: rand(()) for k in keys})
    p: dict[Any, Any] = {k: rand(()) for k in keys}
    assert torch.equal(traced(p), step(p))
    assert traced.fallbacks == 0


def test_what_step_asks_of_an_argument_is_a_condition() -> None:
    def step(x: Tensor, _: float) -> Tensor:
        return x * (2 if x.requires_grad else 3) + (0 if x.is_inference() else 1)

    traced = fdl.trace(step, ones(2), 0.5)
    assert torch.equal(traced(ones(2), 0.5), ones(2) * 4)
    leaf = ones(2).requires_grad_()
    assert torch.equal(traced(leaf, 0.5), ones(2) * 3)
    with torch.inference_mode():
        of_that_mode = ones(2)
    assert torch.equal(traced(of_that_mode, 0.5), ones(2) * 3)
    assert traced.fallbacks == 2

    def device(x: Tensor) -> Tensor:
        return x * torch.arange(2, device=x.device)

    traced = fdl.trace(device, ones(2))
    assert traced(torch.empty(2, device="meta")).is_meta
    assert traced.fallbacks == 1


@pytest.mark.parametrize("part", [lambda gy: gy, lambda gy: gy[:]], ids=["itself", "a view"])
def test_in_inference_mode_arguments_that_step_asks_for_it_must_be_of_it(part: Any) -> None:
    relu = fdl.relu()

    def step(x: Tensor, gy: Tensor) -> Any:
        return relu.vjp({}, x)[1](part(gy))[1]

    x, gy = torch.tensor([1.0, -1.0]), ones(2)
    with torch.inference_mode():
        with pytest.raises(ValueError, match=r"trace: .* args\[1\]'s is_inference\(\) as in"):
            fdl.trace(step, x, gy)
        traced = fdl.trace(step, x, gy.clone())
        for unasked in (x, x.clone()):
            assert torch.equal(traced(unasked, gy.clone()), torch.tensor([1.0, 0.0]))
        assert traced.fallbacks == 0
        assert torch.equal(traced(x, gy), torch.tensor([1.0, 0.0]))
        assert traced.fallbacks == 1


def double() -> Any:
    return default_dtype(torch.float64)


@pytest.mark.parametrize(
    "mode", [torch.inference_mode, torch.no_grad, double, partial(torch.autocast, "cpu")]
)
def test_in_another_mode_calls_go_to_step(mode: Callable[[], Any]) -> None:
    def step(x: Tensor) -> Tensor:
        return x.mm(x) * torch.ones(2)

    x = rand(2, 2)
    traced = fdl.trace(step, x)
    with mode():
        within = fdl.trace(step, x)
        ours = traced(x), within(x)
        assert all(same_bits(y, step(x)) for y in ours)
    assert (traced.fallbacks, within.fallbacks) == (1, 0)
    assert traced.why == "expected the modes of torch as in the example"
    assert same_bits(within(x), step(x))
    assert within.fallbacks == 1


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


def scripted(x: Tensor) -> Tensor:
    return torch.jit.script(torch.nn.ReLU())(x)


def without_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x * 2


def in_bfloat16(x: Tensor) -> Tensor:
    with torch.autocast("cpu"):
        return x.outer(x).mm(x.outer(x))


def in_double(x: Tensor) -> Tensor:
    with default_dtype(torch.float64):
        return x * torch.ones(2)


def seeded(x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return x + torch.rand(2)


def caught(x: Tensor) -> Tensor:
    try:
        return x * x.data_ptr()
    except Exception:
        return x


def caught_by_its_value(x: Tensor) -> Tensor:
    try:
        return x * x.sum().item()
    except Exception:
        return x


NUMBER = iter(range(100))

REFUSED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "a number": (lambda x: x * x.sum().item(), "looks at no values, got item"),
    "a choice": (lambda x: x if x.sum() > 0 else -x, "looks at no values, got __bool__"),
    "a float": (lambda x: x * float(x[0]), "looks at no values, got __float__"),
    "an int": (lambda x: x * int(x[0]), "looks at no values, got __int__"),
    "an index": (lambda x: x[x.long()[0].__index__() :], "looks at no values, got __index__"),
    "equal": (lambda x: x if torch.equal(x, x) else -x, "looks at no values, got equal"),
    "allclose": (lambda x: x if torch.allclose(x, x) else -x, "looks at no values, got allclose"),
    "is_nonzero": (lambda x: x if x[0].is_nonzero() else -x, "looks at no values, got is_nonzero"),
    "in": (lambda x: x if 1.0 in x else -x, "looks at no values, got __contains__"),
    "a list": (lambda x: x * x.tolist()[0], "looks at no values, got item"),
    "numpy": (lambda x: x * x.numpy()[0], "looks at no values, got numpy"),
    "a size": (lambda x: fdl.mse().apply(x[x > 0.5], x[x > 0.5]), "no values, got __getitem__"),
    "a length": (lambda x: x * len(x[x > 0.5]), "looks at no values, got __getitem__"),
    "nonzero": (lambda x: x.nonzero(), "looks at no values, got nonzero"),
    "unique": (lambda x: x.unique(), "looks at no values, got unique"),
    "bincount": (lambda x: x.long().bincount(), "looks at no values, got bincount"),
    "an assignment": (lambda x: x.clone().__setitem__(0, 2.0), "give tensors, got __setitem__"),
    "an address": (lambda x: x * x.data_ptr(), "got data_ptr"),
    "a version": (lambda x: x * x._version, "operations that give tensors, got _version"),
    "dlpack": (lambda x: torch.from_dlpack(x), "operations that give tensors, got __dlpack"),
    "a fault that step catches": (caught, "got data_ptr"),
    "torch.no_grad": (without_grad, "operations that give tensors, got _set_grad_enabled"),
    "torch.func.grad": (torch.func.grad(lambda x: x.sum()), "tensors, got _set_grad_enabled"),
    "torch.jit": (scripted, "operations that give tensors"),
    "torch.vmap": (torch.vmap(lambda x: x * 2), r"trace what is within: torch.vmap\(trace\(step"),
    "torch.func.jvp": (lambda x: torch.func.jvp(torch.exp, (x,), (x,)), "trace what is within"),
    "torch.autocast": (in_bfloat16, "leaves the modes of torch alone, got others for outer"),
    "another default dtype": (in_double, "leaves the modes of torch alone, got others for ones"),
    "a seed": (seeded, "leaves the random state alone, got a seed"),
    "a value that step hides": (caught_by_its_value, "the same types and bits from step each time"),
    "a count": (lambda x: x * next(NUMBER), "the same types and bits from step each time"),
    "other keys": (lambda x: {next(NUMBER): x}, "the same types and bits from step each time"),
    "another layout": (
        lambda x: x[None].expand(2, 2) if next(NUMBER) % 2 else torch.stack([x, x]),
        "the same types and bits from step each time",
    ),
    "a kind of dict": (lambda x: OrderedDict(x=x), "the same types and bits from step each time"),
}


def test_any_nan_is_like_another() -> None:
    def step(x: Tensor) -> Tensor:
        nan = (x - x) / (x - x)
        return nan.neg() if next(NUMBER) % 2 else nan  # of other bits in every second call

    assert fdl.trace(step, ones(3))(ones(3)).isnan().all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit and data_ptr
@pytest.mark.parametrize("what", REFUSED)
def test_refuses_a_step_that_operations_on_tensors_are_not_all_of(what: str) -> None:
    step, message = REFUSED[what]
    with pytest.raises(ValueError, match=f"^trace: expected .*{message}"):
        fdl.trace(step, ones(2))


@pytest.mark.parametrize("leaf", [object(), ones(2).to_sparse(), ones(2).numpy()])
def test_refuses_an_example_of_other_things(leaf: Any) -> None:
    with pytest.raises(TypeError, match=r"^trace: expected an example of tensors, numbers and gen"):
        fdl.trace(lambda x: x, {"x": leaf})


def test_what_step_raises_for_the_example_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError, match="w"):
        fdl.trace(lambda p: p["w"], {})


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
    traced, x = fdl.trace(step, rand(4)), rand(4)
    ours, theirs = traced(x), step(x)
    assert traced.fallbacks == 0
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


def test_a_tensor_that_the_example_has_twice_may_be_two() -> None:
    x = ones(2)
    traced = fdl.trace(lambda a, b: a - b, x, x)
    assert torch.equal(traced(x * 3, x), x * 2)
    traced = fdl.trace(lambda a, b: a - b, x, x.view(2))
    assert torch.equal(traced(x * 3, x), x * 2)
    traced = fdl.trace(lambda a: a - x, x)
    assert torch.equal(traced(x * 3), x * 2)


@pytest.mark.parametrize(
    "x", [rand(4).expand(3, 4), rand(8)[1::2], rand(3, 4).mT, rand(()), rand(0, 3), rand(2) + 1j]
)
def test_takes_tensors_of_all_layouts(x: Tensor) -> None:
    before = x.clone()
    traced = fdl.trace(lambda x: (x * 2, x.conj(), x), x)
    assert same_trees(traced(x)[:2], (x * 2, x.conj()))
    assert traced.fallbacks == 0
    assert torch.equal(x, before)


def test_random_numbers_are_drawn_anew_and_none_while_it_is_traced() -> None:
    state = torch.get_rng_state()
    traced = fdl.trace(lambda x: x + torch.rand(2), ones(2))
    assert torch.equal(state, torch.get_rng_state())
    ours = traced(ones(2))
    torch.set_rng_state(state)
    assert torch.equal(ours, 1 + torch.rand(2))
    assert not torch.equal(traced(ones(2)), ours)


@pytest.mark.parametrize("inference", [False, True])
def test_an_example_whose_memory_step_uses_up_is_left_as_it_is(inference: bool) -> None:
    with torch.inference_mode(inference):
        params, grads, kept = ({"w": ones(3)} for _ in range(3))
        traced = fdl.trace(partial(fdl.sgd, lr=0.5, donate=True), params, grads)
        assert same_trees((params, grads), (kept, kept))
        assert torch.equal(traced(params, grads)["w"], ones(3) * 0.5)
        assert traced.fallbacks == 0


def test_what_fails_half_way_goes_to_step_unless_arguments_may_have_changed() -> None:
    def fails(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x.add_(1), torch.linalg.inv(y)

    traced, x = fdl.trace(fails, ones(2), torch.eye(2)), ones(2)
    with pytest.raises(RuntimeError, match="singular"):
        traced(x, torch.zeros(2, 2))
    assert torch.equal(x, ones(2) + 1)
    assert traced.fallbacks == 0
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        traced(x, torch.zeros(2))
    assert traced.fallbacks == 1

    traced = fdl.trace(lambda x, y: (x + 1, torch.linalg.inv(y)), ones(2), torch.eye(2))
    with pytest.raises(RuntimeError, match="singular"):
        traced(x, torch.zeros(2, 2))
    assert traced.fallbacks == 1
    assert "singular" in traced.why


def test_a_step_that_refuses_other_values_is_traced() -> None:
    def step(x: Tensor, i: Tensor) -> Tensor:
        return x[i] + torch.linalg.cholesky(x)

    x = torch.eye(2) + torch.tensor([[0.0, -0.5], [-0.5, 0.0]])
    index = torch.tensor([1, 0])
    traced = fdl.trace(step, x, index)
    assert torch.equal(traced(x * 2, index), step(x * 2, index))


def test_takes_lists_tuples_and_named_tuples() -> None:
    def step(tree: Any) -> Tensor:
        return tree[0].a * tree[0].b["k"] + tree[1][0]

    example = [Pair(ones(2), {"k": ones(2), 3: ones(1)}), (ones(2),)]
    traced = fdl.trace(step, example)
    x = rand(2)
    assert torch.equal(traced([Pair(x, {"k": x, 3: ones(1)}), (x,)]), x * x + x)
    assert traced.fallbacks == 0


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
    with torch.inference_mode():  # where relu's backward has integers for bits, which vmap refuses
        traced = fdl.trace(training(model), params, X, T)
        ours = torch.vmap(traced, in_dims=(None, 0, None))
        torch.testing.assert_close(ours(params, many, T)[0], theirs(params, many, T)[0])


def test_a_number_under_a_transform_goes_to_step() -> None:
    traced = fdl.trace(lambda x, n: (x * n).sum(), X, 2.0)
    assert torch.equal(torch.func.grad(partial(traced, X))(torch.tensor(2.0)), X.sum())


def test_a_traced_step_can_be_traced_and_compiled() -> None:
    traced = fdl.trace(training(network(fdl.relu)), network(fdl.relu).init(), X, T)
    params = network(fdl.relu).init()
    again = fdl.trace(traced, params, X, T)
    assert same_trees(again(params, X, T), traced(params, X, T))
    compiled = torch.compile(traced, backend="eager")
    assert same_trees(compiled(params, X, T), traced(params, X, T))
