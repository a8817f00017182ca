"""Gradient descent on lists, in place."""

import copy
import pickle
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor

import functional_dl as fdl
from functional_dl.compat import SGD, Linear


def test_sgd_takes_a_tensor_as_learning_rate() -> None:
    p, g, lr = torch.randn(5, 3), torch.randn(5, 3), torch.tensor(0.1)
    expected = fdl.sgd({"p": p}, {"p": g}, lr)["p"]
    SGD([p], [g], lr).step()
    assert torch.equal(p, expected)


def test_iterators_are_taken() -> None:
    a, b = Linear(2, 2), Linear(2, 1)
    optimizer = SGD(
        chain(a.parameters(), b.parameters()), (g for m in (a, b) for g in m.grads()), lr=0.5
    )
    for g in (*a.grads(), *b.grads()):
        g.fill_(1)
    before = [p.clone() for p in (*a.parameters(), *b.parameters())]
    optimizer.step()
    for p, old in zip((*a.parameters(), *b.parameters()), before, strict=True):
        assert torch.equal(p, old - 0.5)
    optimizer.zero_grad()
    assert not any(g.any() for g in (*a.grads(), *b.grads()))


def test_a_parameter_that_comes_twice_is_changed_once() -> None:
    p, g = torch.ones(2), torch.ones(2)
    SGD([p, p], [g, g], 0.25).step()
    assert p.tolist() == [0.75, 0.75]


def test_the_rate_can_be_set_for_the_next_step() -> None:
    p, g = torch.ones(1), torch.ones(1)
    optimizer = SGD([p], [g], 0.5)
    assert optimizer.lr == 0.5
    rates: list[float | Tensor] = [0.125, torch.tensor(0.25)]
    for lr in rates:
        p.fill_(1)
        optimizer.lr = lr
        assert optimizer.lr is lr
        optimizer.step()
        assert p.item() == 1 - lr


@pytest.mark.refuses
def test_a_refused_rate_leaves_the_old_one() -> None:
    optimizer = SGD([torch.ones(1)], [torch.ones(1)], 0.5)
    for wrong in (-1, torch.nan, "0.1", torch.ones(1)):
        with pytest.raises((ValueError, TypeError), match=r"^SGD: expected lr to be "):
            optimizer.lr = wrong
    assert optimizer.lr == 0.5


@pytest.mark.parametrize("again", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_copy_with_its_model_trains_that(again: Callable[[Any], Any]) -> None:
    model = Linear(2, 2)
    twin, optimizer = again((model, SGD(model.parameters(), model.grads(), 0.5)))
    twin.grads()[0].fill_(1)
    optimizer.step()
    assert torch.equal(twin.weight, model.weight - 0.5)
    assert torch.equal(twin.bias, model.bias)
