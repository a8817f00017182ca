"""`clip_norm` is PyTorch's, and changes nothing that it is given."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import functional_dl as fdl
from cases import Draw, laid_out_alike, same_bits, same_trees


@given(rng=st.randoms(use_true_random=False))
def test_equals_pytorchs_in_every_bit(rng: Random) -> None:
    d = Draw(rng)
    grads: Any = {"0": {"p": d.tensor(*d.shape()).clone(), "q": d.tensor(*d.shape()).clone()}}
    grads["s"] = d.tensor()
    limit = rng.choice((0.0, 1e-3, 1.0, 100.0, float("inf")))
    leaves = [g.clone() for g in fdl.tree_leaves(grads)]
    parameters = [torch.empty_like(g).requires_grad_() for g in leaves]
    for p, g in zip(parameters, leaves, strict=True):
        p.grad = g
    theirs = torch.nn.utils.clip_grad_norm_(parameters, limit)
    before = fdl.tree_map(torch.clone, grads)
    clipped, norm = fdl.clip_norm(grads, limit)
    assert same_bits(norm, theirs)
    for ours, g in zip(fdl.tree_leaves(clipped), leaves, strict=True):
        assert same_bits(ours, g)
        assert laid_out_alike(ours, g)
    assert same_trees(grads, before)


def test_a_length_counts_for_a_millionth_more_than_it_is() -> None:
    grads = {"weight": torch.tensor([3.0, 4.0], dtype=torch.float64) * 1e-6}
    clipped, norm = fdl.clip_norm(grads, 3e-6)  # a factor of 3 / (5 + 1)
    assert torch.allclose(norm, grads["weight"].new_tensor(5e-6), rtol=1e-12)
    assert torch.allclose(clipped["weight"], grads["weight"] / 2, rtol=1e-12)


def test_each_member_of_an_ensemble_has_its_own_norm() -> None:
    members = [{"a": torch.randn(3) * k, "b": torch.randn(2, 2)} for k in (1, 10)]
    together = torch.vmap(lambda grads: fdl.clip_norm(grads, 2.0))(fdl.stack(members))
    for ours, alone in zip(fdl.unstack(together), members, strict=True):
        expected = fdl.clip_norm(alone, 2.0)
        for leaves in zip(*map(fdl.tree_leaves, (ours, expected)), strict=True):
            assert torch.allclose(*leaves)  # sums over a stack run in another order


def test_leaves_of_different_dtypes_keep_them() -> None:
    grads = {"a": torch.ones(()), "b": torch.ones(2, dtype=torch.float64), "c": {}}
    clipped, norm = fdl.clip_norm(grads, 1.0)
    assert [g.dtype for g in fdl.tree_leaves(clipped)] == [torch.float32, torch.float64]
    assert torch.allclose(norm, torch.tensor(3.0, dtype=torch.float64).sqrt())
    assert fdl.clip_norm({"c": {}}, 1.0)[1].item() == 0


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: fdl.clip_norm(g, -1.0), ValueError, "limit not to be negative, got -1.0"),
        (lambda g: fdl.clip_norm(g, float("nan")), ValueError, "limit not to be negative, got nan"),
        (lambda g: fdl.clip_norm(g, "1"), TypeError, "limit to be a number, got '1'"),
        (lambda g: fdl.clip_norm({"a": 1.0}, 1.0), TypeError, "a tree of tensors, got 1.0 in it"),
        (
            lambda g: fdl.clip_norm({"a": g["a"].long()}, 1.0),
            TypeError,
            r"a leaf to be a floating tensor, got a int64 ",
        ),
    ],
)
def test_bad_input(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^clip_norm: expected {message}"):
        call({"a": torch.ones(2)})
