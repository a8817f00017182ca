"""`stack`, `unstack` and `scan` give what the trees give one by one."""

import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, ones, zeros

import functional_dl as fdl
from cases import bits

Step = Callable[[Any, Any], tuple[Any, Any]]


class Pair(NamedTuple):
    """A named tuple of trees."""

    a: Any
    b: Any


def assert_same(one: Any, other: Any) -> None:
    """The same structure, types and keys in the same order, and the same bits."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(bits(one), bits(other))
        return
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = one.values(), other.values()
    for a, b in zip(one, other, strict=True):
        assert_same(a, b)


def tree(seed: int) -> dict[str, Any]:
    """Every kind of node, empty ones too, and several dtypes."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "z": {"y": {"weight": draw(3, 2), "bias": draw(3)}, "x": {}},
        "list": [draw(2).double(), [draw(), []], (draw(0, 2),)],
        "tuple": (draw(1).bfloat16(), {"mask": draw(3) > 0}),
        "a": Pair(
            draw(2).long(), Pair({"k": draw(2)}, torch.tensor([-0.0, torch.nan, -torch.nan]))
        ),
    }


INNER = fdl.sequential(fdl.relu(), fdl.linear(5, 2, bias=False))
NETWORK = fdl.sequential(fdl.linear(2, 5), fdl.tanh(), INNER)


def training() -> Step:
    """A step of training, which takes a pair of inputs and targets and gives the loss."""
    loss_and_grads = fdl.value_and_grad(NETWORK, fdl.mse())

    def step(params: fdl.Params, batch: tuple[Tensor, Tensor]) -> tuple[fdl.Params, Tensor]:
        loss, grads = loss_and_grads(params, *batch)
        return fdl.sgd(params, grads, lr=0.1), loss

    return step


def batches(n: int, size: int = 8) -> tuple[Tensor, Tensor]:
    return torch.rand(n, size, 2), torch.rand(n, size, 2)


def loop(step: Step, carry: Any, xs: list[Any]) -> tuple[Any, list[Any]]:
    """What scan stands for."""
    ys = []
    for x in xs:
        carry, y = step(carry, x)
        ys.append(y)
    return carry, ys


def compiled(step: Step, **how: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    torch.compiler.reset()
    return torch.compile(lambda carry, xs: fdl.scan(step, carry, xs), fullgraph=True, **how)


def trees_step(carry: Any, x: Any) -> tuple[Any, Any]:
    """A step whose carry, x and y are trees, whose y is in part carry or x, old or new."""
    new = {"sum": carry["sum"] + x.a, "rest": [carry["rest"][0] * x.b["k"], ()]}
    y = Pair((carry["sum"], new["sum"]), {"x": [x.a], "at": x.a.argmax(), "big": x.a > 0.5})
    return new, y


def trees_case() -> tuple[Any, Any]:
    return {"sum": zeros(3), "rest": [ones(()), ()]}, Pair(torch.rand(4, 3), {"k": torch.rand(4)})


# stack and unstack


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unstack_of_a_stack_gives_back_the_trees_to_the_bit(n: int) -> None:
    trees = [tree(seed) for seed in range(n)]
    assert_same(fdl.unstack(fdl.stack(trees)), trees)
    assert_same(trees, [tree(seed) for seed in range(n)])
    assert_same(fdl.stack(fdl.unstack(fdl.stack(tuple(trees)))), fdl.stack(trees))
    assert_same(fdl.stack(tree for tree in trees), fdl.stack(trees))


def test_stack_has_a_new_first_axis_in_the_order_of_the_trees() -> None:
    trees = [Pair(torch.tensor(1.0), [torch.tensor([2, 3])])] * 2 + [
        Pair(torch.tensor(4.0), [torch.tensor([5, 6])])
    ]
    expected = Pair(torch.tensor([1.0, 1.0, 4.0]), [torch.tensor([[2, 3], [2, 3], [5, 6]])])
    assert_same(fdl.stack(trees), expected)
    assert_same(fdl.stack([torch.tensor([1.0, 2.0])]), torch.tensor([[1.0, 2.0]]))


def test_params_keep_the_order_of_construction_with_more_than_ten_layers() -> None:
    model = fdl.sequential(*(fdl.linear(1, 1) for _ in range(12)))
    members = [model.init() for _ in range(3)]
    stacked = fdl.stack(members)
    assert list(stacked) == [str(i) for i in range(12)]
    assert_same(fdl.unstack(stacked), members)


def test_keys_come_as_in_the_first_tree() -> None:
    a, b = ones(1), zeros(1)
    stacked = fdl.stack([{"b": b, "a": a}, {"a": a, "b": b}])
    assert_same(stacked, {"b": zeros(2, 1), "a": ones(2, 1)})


def test_unstack_of_an_empty_axis_is_an_empty_list() -> None:
    assert fdl.unstack({"a": zeros(0, 2), "b": []}) == []


def test_stack_shares_no_memory_with_the_trees() -> None:
    one = {"a": zeros(2)}
    stacked = fdl.stack([one])
    stacked["a"].fill_(1)
    assert not one["a"].any()


# Bad input


def scan_ys(*ys: Any) -> None:
    given = iter(ys)
    fdl.scan(lambda carry, _: (carry, next(given)), (), zeros(len(ys)))


def scan_xs(xs: Any) -> None:
    fdl.scan(lambda *_: pytest.fail("there is no x to take a step with"), (), xs)


A, F = ones(2), "(torch.float32, (2,))"
UNLIKE = {  # two trees, and what the message calls them
    "other-keys": ({"a": A}, {"b": A}, f"{{'a': {F}}}, got {{'b': {F}}}"),
    "a-missing-key": ({"a": A, "b": A}, {"a": A}, f"{{'a': {F}, 'b': {F}}}, got {{'a': {F}}}"),
    "a-surplus-key": ({"a": A}, {"a": A, "b": A}, f"{{'a': {F}}}, got {{'a': {F}, 'b': {F}}}"),
    "a-dict-for-a-leaf": ({"a": A}, {"a": {"b": A}}, f"{{'a': {F}}}, got {{'a': {{'b': {F}}}}}"),
    "a-leaf-for-a-dict": ({"a": {"b": A}}, {"a": A}, f"{{'a': {{'b': {F}}}}}, got {{'a': {F}}}"),
    "a-tuple-for-a-list": ([A], (A,), f"[{F}], got ({F},)"),
    "a-list-for-a-tuple": ({"a": (A, A)}, {"a": [A, A]}, f"{{'a': ({F}, {F})}}, got {{'a': [{F}"),
    "a-longer-list": ([A], [A, A], f"[{F}], got [{F}, {F}]"),
    "a-shorter-tuple": ((A, A), (A,), f"({F}, {F}), got ({F},)"),
    "another-shape": (A, ones(3), f"{F}, got (torch.float32, (3,))"),
    "a-shape-that-broadcasts": ([A], [ones(1)], f"[{F}], got [(torch.float32, (1,))]"),
    "another-rank": (A, ones(1, 2), f"{F}, got (torch.float32, (1, 2))"),
    "another-dtype": ({"a": A}, {"a": A.double()}, f"{{'a': {F}}}, got {{'a': (torch.float64, (2"),
}
NO_TENSOR = {"none": None, "number": 1.0, "string": "a", "array": [{"k": A, "l": (1,)}]}
UNEVEN = {
    "first-axes-that-differ": {"a": ones(2), "b": [ones(3)]},
    "one-that-differs-from-two": (ones(2), ones(2), ones(1)),
    "0-d": ones(()),
    "0-d-beside-others": [ones(2), ones(())],
    "others-beside-0-d": [ones(()), ones(2)],
    "empty-dict": {},
    "no-leaves": [{}, (), Pair([], {})],
}
V, T = ValueError, TypeError
BAD = {
    "stack: none": (lambda: fdl.stack([]), V, "stack: expected at least one tree, got none"),
    "stack: none in an iterator": (
        lambda: fdl.stack(iter(())),
        V,
        "stack: expected at least one tree, got none",
    ),
    "stack: none in a tuple": (lambda: fdl.stack(()), V, "stack: expected at least one tree, got"),
    "scan: no x": (
        lambda: scan_xs([zeros(0, 2), zeros(0)]),
        V,
        "scan: expected xs of length 1 or more, got 0",
    ),
    **{
        f"{who}: {what}": (
            lambda f=f, p=(a, b): f(*p),
            V,
            f"{who}: expected trees like the first, {m}",
        )
        for what, (a, b, m) in UNLIKE.items()
        for who, f in (("stack", lambda *trees: fdl.stack(trees)), ("scan", scan_ys))
    },
    **{
        f"{who}, of what is no tensor: {what}": (
            lambda f=f, t=t: f(t),
            T,
            f"{who.split()[0]}: expected a tree of tensors, got ",
        )
        for what, t in NO_TENSOR.items()
        for who, f in (
            ("stack", lambda t: fdl.stack([t, t])),
            ("stack second", lambda t: fdl.stack([A, t])),
            ("unstack", fdl.unstack),
            ("scan xs", scan_xs),
            ("scan ys", scan_ys),
            ("scan second", lambda t: scan_ys(A, t)),
        )
        if t is not None or not who.startswith("scan")
    },
    "scan: a y that is None": (lambda: scan_ys(A, None), V, "scan: expected trees like the first"),
    **{
        f"{who}: {what}": (
            lambda f=f, t=t: f(t),
            V,
            f"{who}: expected leaves with a first axis of one size, got [",
        )
        for what, t in UNEVEN.items()
        for who, f in (("unstack", fdl.unstack), ("scan", scan_xs))
    },
}


@pytest.mark.parametrize(("call", "error", "message"), BAD.values(), ids=list(BAD))
def test_bad_trees_are_refused_by_name(
    call: Callable[[], None], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error
    assert str(caught.value).startswith(message)


# scan


@pytest.mark.parametrize(("n", "inference"), [(1, True), (2, False), (10, True)])
class TestScanOfTraining:
    """A scan over batches gives the params and the losses of the loop, in every bit.

    Compiled too, where the backend runs PyTorch's own kernels, for these round alike.
    """

    def test_equals_the_loop(self, n: int, inference: bool) -> None:
        step, params, xs = training(), NETWORK.init(), batches(n)
        before = fdl.stack([params])
        with torch.inference_mode(inference):
            expected, losses = loop(step, params, [*zip(*xs, strict=True)])
            assert_same(fdl.scan(step, params, xs), (expected, torch.stack(losses)))
        assert_same(fdl.stack([params]), before)

    @pytest.mark.builds
    def test_compiled_equals_the_loop(self, n: int, inference: bool) -> None:
        step, params, xs = training(), NETWORK.init(), batches(n)
        with torch.inference_mode(inference):
            expected, losses = loop(step, params, [*zip(*xs, strict=True)])
            ours = compiled(step, backend="eager")(params, xs)
        assert_same(ours, (expected, torch.stack(losses)))


@pytest.mark.parametrize("inference", [False, True])
def test_carry_x_and_y_may_be_trees(inference: bool) -> None:
    carry, xs = trees_case()
    with torch.inference_mode(inference):
        expected, ys = loop(trees_step, carry, fdl.unstack(xs))
        assert_same(fdl.scan(trees_step, carry, xs), (expected, fdl.stack(ys)))


@pytest.mark.builds
def test_compiled_carry_x_and_y_may_be_trees() -> None:
    carry, xs = trees_case()
    with torch.inference_mode():
        expected = fdl.scan(trees_step, carry, xs)
        assert_same(compiled(trees_step, backend="eager")(carry, xs), expected)


@pytest.mark.builds
def test_compiled_a_step_may_hand_on_what_it_was_handed() -> None:
    def step(carry: Any, x: Tensor) -> tuple[Any, Tensor]:
        return {"last": carry["now"], "now": carry["last"] + x, "lr": carry["lr"]}, carry["lr"]

    carry, xs = {"last": zeros(3), "now": ones(3), "lr": ones(())}, torch.rand(4, 3)
    assert_same(compiled(step, backend="eager")(carry, xs), fdl.scan(step, carry, xs))


def counting(carry: Any, x: None) -> tuple[Any, None]:
    assert x is None
    return {"k": carry["k"] + 1, "w": carry["w"] * carry["k"]}, None


def test_without_xs_or_ys_it_counts_as_jax_does() -> None:
    carry, ys = fdl.scan(counting, {"k": 2, "w": ones(2)}, None, length=3)
    assert ys is None
    assert_same(carry, {"k": torch.tensor(5), "w": ones(2) * 24})
    _, ys = fdl.scan(lambda k, x: (k + 1, x * k), 0, ones(3), length=3)
    assert_same(ys, torch.tensor([0.0, 1.0, 2.0]))


@pytest.mark.builds
def test_compiled_without_xs_or_ys_it_counts_alike() -> None:
    def f(w: Tensor) -> Any:
        return fdl.scan(counting, {"k": 2, "w": w}, None, length=3)

    carry, ys = torch.compile(f, fullgraph=True, backend="eager")(ones(2))
    assert ys is None
    assert_same(carry, {"k": torch.tensor(5), "w": ones(2) * 24})


@pytest.mark.parametrize(
    ("xs", "length", "error", "message"),
    [
        (None, None, TypeError, "xs or a whole number as length, got None"),
        (None, 2.0, TypeError, "xs or a whole number as length, got 2.0"),
        (None, 0, ValueError, "xs of length 1 or more, got 0"),
        (ones(0), None, ValueError, "xs of length 1 or more, got 0"),
        (ones(3), 2, ValueError, "xs of length 2, got 3"),
    ],
)
def test_a_length_that_is_missing_or_another_is_refused(
    xs: Any, length: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^scan: expected {message}$"):
        fdl.scan(lambda carry, x: (carry, x), ones(()), xs, length)


def test_traced_a_carry_must_be_of_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "while_loop", lambda _, body, state: body(*state))
    monkeypatch.setattr(fdl.stacked, "is_compiling", lambda: True)
    with pytest.raises(TypeError) as caught:
        fdl.scan(lambda carry, x: (1.0, x), ones(()), ones(2))
    assert str(caught.value) == "scan: expected a tree of tensors, got 1.0 in it"


@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_loop_that_it_becomes_equals_the_plain_one(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def while_loop(go_on: Callable[..., Tensor], body: Callable[..., Any], state: Any) -> Any:
        assert state[0].dtype == torch.int64
        while go_on(*state):
            old, state = state, body(*state)
            handed_on = {id(leaf) for leaf in leaves(old)} & {id(leaf) for leaf in leaves(state)}
            assert not handed_on  # which torch.while_loop refuses
        return state

    def leaves(tree: Any) -> list[Tensor]:
        if isinstance(tree, Tensor):
            return [tree]
        parts = tree.values() if isinstance(tree, dict) else tree
        return [leaf for part in parts for leaf in leaves(part)]

    def trees_step(carry: Any, x: Any) -> tuple[Any, Any]:
        new, y = globals()["trees_step"](carry["trees"], x)
        return {"trees": new, "last": carry["now"], "now": x.a + 1, "lr": carry["lr"]}, y

    trees, xs = trees_case()
    carry = {"trees": trees, "last": zeros(3), "now": zeros(3), "lr": ones(())}
    xs = fdl.stack(fdl.unstack(xs)[:n])
    expected = fdl.scan(trees_step, carry, xs)
    monkeypatch.setattr(torch, "while_loop", while_loop)
    monkeypatch.setattr(fdl.stacked, "is_compiling", lambda: True)
    assert_same(fdl.scan(trees_step, carry, xs), expected)


@pytest.mark.builds
def test_compiled_once_it_takes_any_number_of_xs() -> None:
    def step(carry: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return carry * 0.5 + x, carry * x

    f = compiled(step, backend="eager")
    for n in (3, 1, 7):
        xs = torch.rand(n, 2)
        assert_same(f(zeros(2), xs), fdl.scan(step, zeros(2), xs))


@pytest.mark.builds
def test_what_is_compiled_is_as_large_for_many_xs_as_for_two() -> None:
    sizes = []

    def measure(module: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        sizes.append(len(module.graph.nodes))
        return module.forward

    for n in (2, 50):
        xs = torch.rand(n, 2)
        compiled(lambda carry, x: (carry + x, carry * x), backend=measure)(zeros(2), xs)
    assert sizes[0] == sizes[1]


@pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="there is no C++ compiler"
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.builds
def test_compiled_as_the_docstring_says_it_trains_alike() -> None:
    torch.manual_seed(0)
    step, xs = training(), batches(5, 20)
    epoch = compiled(step, options={"cpp_wrapper": True})
    with torch.inference_mode():
        params = theirs = NETWORK.init()  # here, or the second call compiles once more
        for _ in range(30):
            params, losses = epoch(params, xs)
            theirs, expected = fdl.scan(step, theirs, xs)
            # Compiled code rounds otherwise, by some 1e-7 a step, and 150 steps add that up.
            torch.testing.assert_close(losses, expected, rtol=1e-4, atol=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_jvp_through_a_scan_is_jvp_through_the_loop() -> None:
    step, xs = training(), batches(3)
    primal, tangent = NETWORK.init(), NETWORK.init()

    def looped(params: fdl.Params) -> tuple[fdl.Params, Tensor]:
        params, losses = loop(step, params, fdl.unstack(xs))
        return params, torch.stack(losses)

    ours = torch.func.jvp(lambda p: fdl.scan(step, p, xs), (primal,), (tangent,))
    assert_same(ours, torch.func.jvp(looped, (primal,), (tangent,)))
    assert all(t.any() for t in fdl.tree_leaves(ours[1][0]))


# Networks side by side


@pytest.fixture
def side_by_side() -> tuple[Callable[..., Any], list[fdl.Params], Tensor]:
    """A step of one network, what several start from and their learning rates."""
    loss_and_grads = fdl.value_and_grad(NETWORK, fdl.mse())

    def one_step(
        params: fdl.Params, lr: float | Tensor, batch: tuple[Tensor, Tensor]
    ) -> tuple[fdl.Params, Tensor]:
        loss, grads = loss_and_grads(params, *batch)
        return fdl.sgd(params, grads, lr), loss

    members = [NETWORK.init(dtype=torch.float64) for _ in range(3)]
    return one_step, members, torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)


class TestSideBySide:
    """Stacked networks train under vmap as each does alone, with a learning rate of its own.

    Their products are batched, which sum in another order: float64 with torch's default tolerance
    of 1e-7, a billion roundings, tells that from another network's or learning rate's.
    """

    @pytest.mark.parametrize("inference", [False, True])
    def test_each_trains_as_alone(self, side_by_side: Any, inference: bool) -> None:
        one_step, members, lrs = side_by_side
        many, together, xs = torch.vmap(one_step, (0, 0, None)), fdl.stack(members), batches(10)
        xs = tuple(x.double() for x in xs)
        with torch.inference_mode(inference):
            together, losses = fdl.scan(lambda p, batch: many(p, lrs, batch), together, xs)
            trained = fdl.unstack(together)
            assert losses.shape == (10, 3)
            for i, (member, lr) in enumerate(zip(members, lrs, strict=True)):
                for rate in (lr, lr.item()):
                    alone, expected = fdl.scan(
                        lambda p, batch, rate=rate: one_step(p, rate, batch), member, xs
                    )
                    torch.testing.assert_close(losses[:, i], expected)
                    torch.testing.assert_close(trained[i], alone)

    @pytest.mark.builds
    def test_compiled_in_a_scan_they_equal_the_loop(self, side_by_side: Any) -> None:
        one_step, members, lrs = side_by_side
        many, xs = torch.vmap(one_step, (0, 0, None)), tuple(x.double() for x in batches(4))

        def step(params: fdl.Params, batch: Any) -> tuple[fdl.Params, Tensor]:
            return many(params, lrs, batch)

        with torch.inference_mode():
            together = fdl.stack(members)
            expected, losses = loop(step, together, fdl.unstack(xs))
            # The same kernels in the same order, and so the same bits.
            assert_same(
                compiled(step, backend="eager")(together, xs), (expected, torch.stack(losses))
            )
