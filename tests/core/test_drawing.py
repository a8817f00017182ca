"""Layers draw in training only, and from nothing but the generator that they are handed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import functional_dl as fdl
from cases import Parallel, Residual, same_bits, same_trees
from functional_dl import compat

X, T = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(6, 2)
MODEL = fdl.sequential(
    fdl.linear(4, 4),
    fdl.dropout(0.3),
    fdl.residual(fdl.tanh(), fdl.dropout(0.5), fdl.linear(4, 4)),
    fdl.parallel(fdl.dropout(0.2), fdl.sequential(fdl.relu(), fdl.dropout(0.6))),
    fdl.linear(4, 2),
)
THEIRS = nn.Sequential(
    nn.Linear(4, 4),
    nn.Dropout(0.3),
    Residual(nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 4)),
    Parallel(nn.Dropout(0.2), nn.Sequential(nn.ReLU(), nn.Dropout(0.6))),
    nn.Linear(4, 2),
)
PARAMS = fdl.from_state_dict(MODEL, THEIRS.state_dict())
F = fdl.value_and_grad(MODEL, fdl.mse())


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_network_draws_what_pytorchs_draws_in_training() -> None:
    torch.manual_seed(1)
    their_loss = nn.functional.mse_loss(THEIRS.train()(X), T)
    their_grads = torch.autograd.grad(their_loss, [*THEIRS.parameters()])
    loss, grads = F(PARAMS, X, T, seeded())
    assert same_bits(loss, their_loss.detach())
    assert same_trees(fdl.tree_leaves(grads), [*their_grads])


def test_without_a_generator_nothing_is_drawn_and_dropout_passes_on() -> None:
    state = torch.get_rng_state()
    y, pullback = MODEL.vjp(PARAMS, X)
    assert same_bits(y, THEIRS.eval()(X).detach())
    assert same_bits(MODEL.apply(PARAMS, X), y)
    pullback(y)
    assert torch.equal(torch.get_rng_state(), state)
    dropped, back = fdl.dropout(0.5).vjp({}, X)
    assert dropped is X
    assert back(X)[1] is X


def test_the_same_generator_goes_on_and_a_seed_repeats() -> None:
    generator = seeded()
    first, second = (F(PARAMS, X, T, generator) for _ in range(2))
    assert same_trees(F(PARAMS, X, T, seeded()), first)
    assert not same_bits(first[0], second[0])


def test_a_pullback_goes_back_through_what_its_forward_drew() -> None:
    y, pullback = MODEL.vjp(PARAMS, X, seeded())
    first = pullback(y)
    MODEL.vjp(PARAMS, X, seeded(2))[1](y)
    assert same_trees(pullback(y), first)


def test_value_and_update_draws_what_value_and_grad_draws() -> None:
    loss, grads = F(PARAMS, X, T, seeded())
    update = fdl.value_and_update(MODEL, fdl.mse(), lambda p, g: fdl.sgd(p, g, 0.1))
    assert same_trees(update(PARAMS, X, T, seeded()), (loss, fdl.sgd(PARAMS, grads, 0.1)))


def test_value_and_update_with_an_optimizer_does_too() -> None:
    optimizer = fdl.adam()
    state = optimizer.init(PARAMS)
    loss, grads = F(PARAMS, X, T, seeded())
    expected = loss, *optimizer.update(PARAMS, grads, state, 0.1)
    update = fdl.value_and_update(MODEL, fdl.mse(), optimizer)
    assert same_trees(update(PARAMS, X, T, state, 0.1, seeded()), expected)


def test_what_is_kept_is_scaled_and_what_is_dropped_is_zero() -> None:
    y, pullback = fdl.dropout(0.75).vjp({}, torch.ones(1000), seeded())
    assert y.unique().tolist() == [0.0, 4.0]
    assert 150 < int((y > 0).sum()) < 350  # a thousand draws, 7 standard deviations off at most
    assert torch.equal(pullback(torch.full((1000,), 0.5))[1], y / 2)


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_no_number_is_drawn_for_what_drops_nothing(p: float) -> None:
    x = torch.ones(5 if p == 0 else 0)
    generator = seeded()
    before = generator.get_state()
    y, _ = fdl.dropout(p).vjp({}, x, generator)
    assert torch.equal(y, x)
    assert torch.equal(generator.get_state(), before)


def test_torchs_global_generator_stands_for_itself() -> None:
    torch.manual_seed(1)
    ours = F(PARAMS, X, T, torch.default_generator)
    assert same_trees(ours, F(PARAMS, X, T, seeded()))


@pytest.mark.builds
def test_a_step_that_draws_compiles_as_one_graph() -> None:
    def step(params: fdl.Params, x: Tensor) -> Any:
        return F(params, x, T, torch.default_generator)

    torch.compiler.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    first, second = (compiled(PARAMS, X)[0] for _ in range(2))
    torch.manual_seed(1)
    again = compiled(PARAMS, X)
    torch.manual_seed(1)
    # Compiled, sums come in another order: torch's own tolerance for float32.
    torch.testing.assert_close(again, step(PARAMS, X))
    assert not torch.equal(first, second)


def test_check_vjp_has_a_layer_draw() -> None:
    @fdl.layer
    def forgets_its_mask() -> Any:
        def vjp(params: fdl.Params, x: Tensor, generator: Any = None) -> Any:
            y, _ = fdl.dropout(0.5).vjp({}, x, generator)
            return y, lambda gy, *, wrt_input=True: ({}, gy if wrt_input else None)

        return fdl.Maths(vjp)

    with pytest.raises(
        AssertionError, match=r"^check_vjp: with a generator: .* not the derivative"
    ):
        fdl.check_vjp(forgets_its_mask(), {}, X)


def test_members_draw_each_their_own_under_vmap() -> None:
    def one(x: Tensor) -> Tensor:
        return fdl.dropout(0.5).vjp({}, x, generator)[0]

    generator = seeded()
    together = torch.vmap(one, randomness="different")(torch.ones(64, 8))
    assert len({tuple(row) for row in together.tolist()}) > 32


def test_a_scan_goes_on_drawing() -> None:
    def step(carry: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return carry, fdl.dropout(0.5).vjp({}, x, generator)[0]

    generator = seeded()
    ys = fdl.scan(step, torch.zeros(()), torch.ones(3, 8))[1]
    generator = seeded()
    assert torch.equal(ys, torch.stack([step(X, torch.ones(8))[1] for _ in range(3)]))


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda g: fdl.tanh().vjp({}, X, g), "tanh: expected no generator, since nothing draws"),
        (lambda g: fdl.sequential().vjp({}, X, g), "sequential: expected no generator, since"),
        (
            lambda g: fdl.value_and_grad(fdl.tanh(), fdl.mse())({}, X, X, g),
            "value_and_grad: expected no generator, since no layer draws",
        ),
        (
            lambda g: fdl.value_and_update(fdl.tanh(), fdl.mse(), lambda p, g: p)({}, X, X, g),
            "value_and_update: expected no generator, since no layer draws",
        ),
        (lambda g: MODEL.vjp(PARAMS, X, 1), "sequential: expected generator to be a torch.Gen"),
        (lambda g: fdl.dropout("a"), "dropout: expected p to be a number, got 'a'"),
        (lambda g: compat.Dropout("a"), "Dropout: expected p to be a number, got 'a'"),
    ],
)
def test_a_generator_where_nothing_draws_and_what_is_none_are_refused(
    what: Callable[[torch.Generator], object], message: str
) -> None:
    generator = seeded()
    before = generator.get_state()
    with pytest.raises(TypeError, match=f"^{message}"):
        what(generator)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("p", [-0.1, 1.0, torch.nan])
def test_a_probability_is_at_least_0_and_less_than_1(p: float) -> None:
    with pytest.raises(ValueError, match=r"dropout: expected p in \[0, 1\), got"):
        fdl.dropout(p)


def test_a_module_draws_in_training_alone() -> None:
    ours = compat.Sequential(
        compat.Linear(4, 4), compat.Dropout(0.5), compat.Sequential(compat.Dropout(0.3))
    )
    theirs = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.3)))
    theirs.load_state_dict(ours.state_dict())
    for train in (lambda m: m, lambda m: m.eval(), lambda m: m.train()):
        outputs = []
        for model in (train(ours), train(theirs)):
            torch.manual_seed(1)
            outputs.append(model(X))
        assert same_bits(outputs[0], outputs[1].detach())
    ours[1].eval()
    assert (ours[1].training, ours[2].training) == (False, True)


class TestTraced:
    """A step that takes a generator, and one that has one."""

    def test_a_generator_is_an_argument_like_others(self) -> None:
        traced = fdl.trace(F, PARAMS, X, T, example := seeded())
        assert torch.equal(example.get_state(), seeded().get_state())
        ours, theirs = seeded(5), seeded(5)
        for _ in range(2):
            assert same_trees(traced(PARAMS, X, T, ours), F(PARAMS, X, T, theirs))
        assert torch.equal(ours.get_state(), theirs.get_state())
        assert traced.fallbacks == 0
        assert "generator = " in traced.code

    def test_the_global_one_goes_on_drawing_where_the_step_has_it_itself(self) -> None:
        def step(x: Tensor) -> Any:
            return x + torch.rand(6, 4, generator=torch.default_generator)

        traced = fdl.trace(step, X)
        torch.manual_seed(3)
        first = traced(X), traced(X)
        torch.manual_seed(3)
        assert same_trees((step(X), step(X)), first)

    def test_any_other_has_to_be_an_argument(self) -> None:
        own = seeded()
        with pytest.raises(ValueError, match="trace: expected generators to be arguments, got one"):
            fdl.trace(lambda x: fdl.dropout(0.5).vjp({}, x, own)[0], X)

    def test_two_are_told_apart_and_one_may_be_both(self) -> None:
        def step(x: Tensor, a: torch.Generator, b: torch.Generator) -> Any:
            return [fdl.dropout(0.5).vjp({}, x, g)[0] for g in (a, b, a)]

        one = seeded(1)
        traced = fdl.trace(step, X, one, one)
        for seeds in ((1, 2), (7,)):
            ours, theirs = ([seeded(n) for n in seeds] for _ in range(2))
            same = traced(X, ours[0], ours[-1]), step(X, theirs[0], theirs[-1])
            assert same_trees(*same)
        assert traced.fallbacks == 0

    def test_without_one_the_step_itself_is_called(self) -> None:
        traced = fdl.trace(F, PARAMS, X, T, seeded())
        assert same_trees(traced(PARAMS, X, T, None), F(PARAMS, X, T))
        assert traced.why == "expected args[3] as in the example"

    def test_what_fails_after_it_has_drawn_is_raised_and_not_done_again(self) -> None:
        def step(x: Tensor, generator: torch.Generator) -> Tensor:
            y = fdl.dropout(0.5).vjp({}, x, generator)[0]
            return y + 0 * weights

        weights = torch.ones(6, 4)
        traced = fdl.trace(step, X, seeded())
        weights.resize_(3, 3)
        generator, once = seeded(), seeded()
        with pytest.raises(RuntimeError, match="must match the size"):
            traced(X, generator)
        fdl.dropout(0.5).vjp({}, X, once)
        assert torch.equal(generator.get_state(), once.get_state())
