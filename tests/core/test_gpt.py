"""A GPT is the network that it says, starts as GPT-2 does, and trains as autograd trains it."""

import gc
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import functional_dl as fdl
from cases import autograd, same_bits, same_trees
from functional_dl import compat
from written_out import QUICK, WRITTEN_OUT, Sizes, draw, modules, train_ours, train_theirs

SIZES = Sizes(tokens=11, length=6, features=8, heads=2, blocks=2)
TOKENS = torch.randint(11, (3, 6), generator=torch.Generator().manual_seed(0))
STYLES = pytest.mark.parametrize("style", ["classic", "modern"])
TIED = pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "not tied"])


def made(style: str, is_tied: bool, **how: Any) -> tuple[fdl.Layer, fdl.Params]:
    """A small one."""
    model = fdl.gpt(*SIZES, QUICK[style][0], is_tied)
    return model, model.init(torch.Generator().manual_seed(0), **how)


# Beside PyTorch


@TIED
@STYLES
def test_written_out_it_trains_to_the_same_bits_as_by_autograd(style: str, is_tied: bool) -> None:
    ours, theirs = WRITTEN_OUT[style]
    model = fdl.gpt(*SIZES, ours, is_tied)
    params = model.init(torch.Generator().manual_seed(0))
    batches = draw(SIZES, steps=20, samples=4, seed=0)
    twin = modules(SIZES, theirs, is_tied)
    expected = train_theirs(twin, fdl.to_state_dict(params, model), batches)
    losses, trained = train_ours(model, params, batches)
    assert same_trees(losses, expected[0])
    assert same_trees(trained, expected[1])
    assert losses[-1] < losses[0]


@TIED
@STYLES
def test_it_trains_as_pytorchs_modules_with_fused_attention(style: str, is_tied: bool) -> None:
    model, params = made(style, is_tied)
    batches = draw(SIZES, steps=10, samples=4, seed=0)
    twin = modules(SIZES, QUICK[style][1], is_tied)
    expected, _ = train_theirs(twin, fdl.to_state_dict(params, model), batches)
    losses, _ = train_ours(model, params, batches)
    # Some units in the last place: each step adds up the roundings of those before it.
    assert torch.allclose(torch.stack(losses), torch.stack(expected), rtol=1e-6, atol=0)


@TIED
@STYLES
def test_state_dicts_go_both_ways(style: str, is_tied: bool) -> None:
    model, params = made(style, is_tied)
    twin = modules(SIZES, QUICK[style][1], is_tied)
    flat = fdl.to_state_dict(params, model)
    assert [*flat] == [*twin.state_dict()]
    twin.load_state_dict(flat)
    y = twin(TOKENS).detach()
    # Fused attention rounds otherwise, by a few units in the last place of the largest logit.
    assert torch.allclose(model.apply(params, TOKENS), y, rtol=0, atol=1e-6 * y.abs().max().item())
    assert same_trees(fdl.from_state_dict(model, twin.state_dict()), params)


# First params


@STYLES
def test_it_begins_with_gpt_2s_params(style: str) -> None:
    model = fdl.gpt(500, 100, features=64, heads=4, blocks=2, style=QUICK[style][0])
    params = fdl.to_state_dict(model.init(torch.Generator().manual_seed(0)))
    norms = {"2.0", "3.0", "4.0", "5.0", "6"}
    for path, p in params.items():
        layer, _, leaf = path.rpartition(".")
        if leaf == "bias":
            assert not p.any()
        elif layer in norms:
            assert (p == 1).all()
        else:
            std = 0.02 / math.sqrt(2 * 2) if layer.endswith(".3") else 0.02
            # Of thousands of draws: four standard errors of their spread, 1 / √(2n), and mean.
            n = p.numel()
            assert p.std().item() == pytest.approx(std, rel=4 / math.sqrt(2 * n))
            assert abs(p.mean().item()) < 4 * std / math.sqrt(n)


@TIED
def test_the_same_seed_draws_the_same_params(is_tied: bool) -> None:
    model, params = made("classic", is_tied)
    assert same_trees(model.init(torch.Generator().manual_seed(0)), params)
    assert not same_trees(model.init(torch.Generator().manual_seed(1)), params)
    assert all(
        p.dtype == torch.bfloat16
        for p in fdl.tree_leaves(made("classic", is_tied, dtype=torch.bfloat16)[1])
    )


def test_by_default_it_is_small_modern_and_tied() -> None:
    assert repr(fdl.gpt(11, 6)) == repr(fdl.gpt(11, 6, 64, 4, 2, fdl.MODERN, True))


# What it computes


@STYLES
def test_a_later_token_changes_no_earlier_logit(style: str) -> None:
    model, params = made(style, True)
    y = model.apply(params, TOKENS)
    for t in range(6):
        changed = TOKENS.clone()
        changed[:, t:] = (changed[:, t:] + 1) % 11
        other = model.apply(params, changed)
        assert same_bits(other[:, :t], y[:, :t])
        assert (other[:, t] != y[:, t]).any(-1).all()


@STYLES
def test_gradients_are_derivatives(style: str) -> None:
    model = fdl.gpt(3, 2, features=2, heads=1, blocks=1, style=QUICK[style][0])
    params = model.init(torch.Generator().manual_seed(0), dtype=torch.float64)
    params = fdl.tree_map(lambda p: p + torch.randn_like(p), params)  # none is nearly 0
    fdl.check_vjp(model, params, torch.tensor([[0, 2], [2, 2]]))


def test_sequences_may_be_shorter_than_the_longest_and_stand_alone() -> None:
    model, params = made("modern", True)
    y = model.apply(params, TOKENS)
    # Products of fewer rows may sum in another order.
    torch.testing.assert_close(model.apply(params, TOKENS[:, :4]), y[:, :4])
    torch.testing.assert_close(model.apply(params, TOKENS[1]), y[1])
    torch.testing.assert_close(model.apply(params, TOKENS.int()), y)


def test_attention_to_all_goes_along_with_a_permutation_of_positions() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = fdl.self_attention(8, 2, causal=False)
    params = layer.init(generator, dtype=torch.float64)
    x = torch.randn(3, 6, 8, generator=generator, dtype=torch.float64)
    order = torch.randperm(6, generator=generator)
    y, pullback = layer.vjp(params, x)
    of_permuted, pullback_of_permuted = layer.vjp(params, x[:, order])
    # Sums over positions come in another order.
    torch.testing.assert_close(of_permuted, y[:, order])
    grads, gx = pullback(y)
    grads_of_permuted, gx_of_permuted = pullback_of_permuted(y[:, order])
    torch.testing.assert_close(gx_of_permuted, gx[:, order])
    torch.testing.assert_close(grads_of_permuted, grads)


@pytest.mark.memory
def test_weights_of_attention_are_kept_where_they_are_few_and_else_made_anew() -> None:
    layer, few, many = fdl.attention(2), torch.randn(3, 20, 24), torch.randn(90, 40, 24)

    def kept(x: Tensor) -> bool:
        _, pullback = layer.vjp({}, x)
        shape = (2 * x.shape[0], x.shape[1], x.shape[1])
        gc.collect()
        found = any(isinstance(t, Tensor) and t.shape == shape for t in gc.get_objects())
        del pullback
        return found

    assert kept(few)
    assert not kept(many)
    y, pullback = layer.vjp({}, many)
    gx = pullback(y)[1]
    for n in range(len(many)):
        one, pullback = layer.vjp({}, many[n])
        assert torch.equal(one, y[n])
        assert torch.equal(pullback(one)[1], gx[n])


@pytest.mark.parametrize("bias", [True, False])
def test_self_attention_is_pytorchs_under_other_names(bias: bool) -> None:
    theirs = nn.MultiheadAttention(8, 2, bias=bias, batch_first=True)
    state = theirs.state_dict()
    params = {
        k: {leaf: state[f"{name}{leaf}"] for leaf in ("weight", "bias")[: 1 + bias]}
        for k, name in (("0", "in_proj_"), ("2", "out_proj."))
    }
    x = torch.randn(3, 6, 8)
    layer = fdl.self_attention(8, 2, causal=False, bias=bias)
    y, pullback = layer.vjp(params | {"1": {}}, x)
    their_y, their_pullback = autograd(lambda x: theirs(x, x, x, need_weights=False)[0], x)
    # The default tolerance of float32, some ten roundings.
    torch.testing.assert_close(y, their_y)
    torch.testing.assert_close(pullback(y)[1], their_pullback(y)[0])


# What is refused


def applied(tokens: Any) -> None:
    model, params = made("modern", True)
    model.vjp(params, tokens)


V, T = ValueError, TypeError
MADE: dict[str, dict[str, int]] = {
    "embedding": {"tokens": 11, "features": 8},
    "positions": {"length": 6, "features": 8},
    "rms_norm": {"features": 8},
    "layer_norm": {"features": 8},
    "attention": {"heads": 2},
    "self_attention": {"features": 8, "heads": 2},
    "gpt": SIZES._asdict(),
}
BAD = [
    *[
        (
            lambda name=name, sizes=sizes, k=k: getattr(fdl, name)(**sizes | {k: 0}),
            V,
            f"{name}: expected {k} to be a positive integer, got 0",
        )
        for name, sizes in MADE.items()
        for k in sizes
    ],
    (lambda: fdl.gpt(11, 6, 8, 3), V, "gpt: expected heads to divide features, got 3 and 8"),
    (
        lambda: fdl.gpt(11, 6, style="modern"),
        T,
        "gpt: expected style to be a Style, such as CLASSIC, got 'modern'",
    ),
    (
        lambda: fdl.self_attention(8, 3),
        V,
        "self_attention: expected features that are a multiple of heads, got 8 and 3",
    ),
    (lambda: fdl.rms_norm(3, -1e-5), V, "rms_norm: expected eps not to be negative, got -1e-05"),
    (
        lambda: fdl.layer_norm(3, math.nan),
        V,
        "layer_norm: expected eps not to be negative, got nan",
    ),
    (lambda: fdl.layer_norm(3, "1"), T, "layer_norm: expected eps to be a number, got '1'"),
    (
        lambda: applied(TOKENS + 1),
        V,
        f"embedding at 0: expected x from 0 to 10, got numbers from {TOKENS.min() + 1} to 11",
    ),
    (
        lambda: applied(TOKENS - 11),
        V,
        f"embedding at 0: expected x from 0 to 10, got numbers from {TOKENS.min() - 11} to -1",
    ),
    (
        lambda: applied(TOKENS.repeat(1, 2)),
        V,
        "positions at 1: expected x of shape (..., T, 8), with T up to 6, got (3, 12, 8)",
    ),
    (
        lambda: applied(TOKENS[0, 0]),
        V,
        "positions at 1: expected x of shape (..., T, 8), with T up to 6, got (8,)",
    ),
    (
        lambda: applied(TOKENS.float()),
        T,
        "embedding at 0: expected x to be a tensor of int64 or int32, "
        "got a float32 tensor of shape (3, 6)",
    ),
    (
        lambda: fdl.embedding(3, 2).vjp({"weight": torch.ones(2, 3).double()}, torch.tensor(0)),
        V,
        "embedding: expected params['weight'] to be a float64 tensor of shape (3, 2), "
        "got a float64 tensor of shape (2, 3)",
    ),
    (
        lambda: fdl.attention(2).vjp({}, torch.ones(3, 8)),
        V,
        "attention: expected x of shape (..., T, A), with A a multiple of 6, got (3, 8)",
    ),
    (
        lambda: fdl.attention(2).vjp({}, torch.ones(12)),
        V,
        "attention: expected x of shape (..., T, A), with A a multiple of 6, got (12,)",
    ),
    (
        lambda: fdl.attention(2).vjp({}, torch.ones(3, 0)),
        V,
        "attention: expected x of shape (..., T, A), with A a multiple of 6, got (3, 0)",
    ),
    *[
        (
            lambda norm=norm: norm(4).vjp(norm(4).init(), torch.ones(3, 8)),
            V,
            f"{norm.__name__}: expected x of shape (..., 4), got (3, 8)",
        )
        for norm in (fdl.rms_norm, fdl.layer_norm)
    ],
    (
        lambda: compat.Sequential(compat.LayerModule(fdl.embedding(11, 8)))(TOKENS + 1),
        V,
        f"embedding at 0: expected x from 0 to 10, got numbers from {TOKENS.min() + 1} to 11",
    ),
]


@pytest.mark.refuses
@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_input_is_refused_by_name(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_attention_to_oneself_is_causal_and_has_biases_by_default() -> None:
    model, asked_for = fdl.self_attention(8, 2), fdl.self_attention(8, 2, causal=True, bias=True)
    params, x = asked_for.init(), torch.rand(3, 4, 8)
    assert same_bits(model.apply(params, x), asked_for.apply(params, x))
    other = fdl.self_attention(8, 2, causal=False)
    assert not torch.equal(other.apply(params, x), asked_for.apply(params, x))


@pytest.mark.parametrize("norm", [fdl.rms_norm, fdl.layer_norm])
def test_gradients_of_a_single_row_are_in_memory_of_their_own(norm: Any) -> None:
    _, pullback = norm(4).vjp(norm(4).init(), torch.rand(4))
    gy = torch.rand(4)
    grads, gx = pullback(gy)
    assert len({t.data_ptr() for t in (gy, gx, *grads.values())}) == 2 + len(grads)


def test_a_gpt_is_a_module_of_compat_too() -> None:
    model, params = made("classic", True)
    torch.manual_seed(0)
    module = compat.LayerModule(model)
    for p, ours in zip(module.parameters(), fdl.tree_leaves(params), strict=True):
        p.copy_(ours)
    y, pullback = model.vjp(params, TOKENS)
    assert same_bits(module(TOKENS), y)
    assert module.backward(y) is None
    assert same_trees(module.grads(), fdl.tree_leaves(pullback(y)[0]))


def test_an_ensemble_trains_as_its_members_do() -> None:
    model, _ = made("modern", True)
    f, adam = fdl.value_and_grad(model, fdl.cross_entropy()), fdl.adam()

    def step(params: fdl.Params, state: fdl.State) -> tuple[fdl.Params, fdl.State]:
        return adam.update(params, f(params, TOKENS, TOKENS.flip(1))[1], state, 0.01)

    seeds = map(torch.Generator().manual_seed, range(3))
    members = [model.init(seed, dtype=torch.float64) for seed in seeds]
    begun = [(member, adam.init(member)) for member in members]
    together = torch.vmap(step)(*fdl.stack(begun))
    # Products of a batch round otherwise, in float64.
    torch.testing.assert_close(together, fdl.stack([step(*each) for each in begun]))


def test_per_sample_gradients_average_to_the_batchs() -> None:
    model, params = made("modern", True, dtype=torch.float64)
    f = fdl.value_and_grad(model, fdl.cross_entropy())
    t: Tensor = TOKENS.flip(1)
    each = torch.vmap(f, (None, 0, 0))(params, TOKENS[:, None], t[:, None])
    # Sums in another order, in float64.
    torch.testing.assert_close(fdl.tree_map(lambda g: g.mean(0), each), f(params, TOKENS, t))
