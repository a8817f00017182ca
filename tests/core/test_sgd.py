"""`sgd` beyond its case: complex params, and gradients that are donated."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import functional_dl as fdl
from cases import Draw, autograd, copied, laid_out_alike, same_bits, same_trees


@given(rng=st.randoms(use_true_random=False))
def test_donated_or_not_the_new_params_are_the_same_and_laid_out_alike(rng: Random) -> None:
    d = Draw(rng)
    shape = d.shape()
    p, g = d.tensor(*shape), d.tensor(*shape)
    g = g.clone() if 0 in g.stride() else g  # what is expanded is nobody's own
    theirs, before = fdl.sgd({"p": p}, {"p": g}, 0.1)["p"], p.clone()
    with torch.inference_mode():
        ours = fdl.sgd({"p": p}, {"p": copied(g)}, 0.1, donate=True)["p"]
    assert same_bits(ours, theirs)
    assert laid_out_alike(ours, theirs)
    assert same_bits(p, before)


@pytest.mark.parametrize(
    "alike", [lambda t: t[:, ::2], lambda t: t.mT, lambda t: t[:1].expand(4, 6)]
)
def test_donated_gradients_laid_out_as_params_give_what_others_do(alike: Any) -> None:
    p, g = map(alike, torch.rand(2, 4, 6))
    theirs = fdl.sgd({"p": p}, {"p": g}, 0.1)["p"]
    with torch.inference_mode():
        ours = fdl.sgd({"p": p}, {"p": copied(g)}, 0.1, donate=True)["p"]
    assert torch.equal(ours, theirs)
    assert laid_out_alike(ours, theirs)


def test_new_params_of_a_large_network_lie_where_donated_gradients_lay() -> None:
    with torch.inference_mode():
        params, grads = ({"0": {"w": torch.rand(130, 130), "b": torch.rand(2)}} for _ in range(2))
        new = fdl.sgd(params, grads, 0.1, donate=True)
    for k, g in grads["0"].items():
        assert new["0"][k].data_ptr() == g.data_ptr()


def stepped(p: Tensor, g: Tensor, *, donate: bool) -> Tensor:
    return fdl.sgd({"p": p}, {"p": g}, 0.1, donate=donate)["p"]


def of_one(transform: Callable[..., Any], i: int) -> Callable[..., Any]:
    """The transform with respect to the i-th argument, through what may be made of it."""

    def transformed(f: Callable[..., Tensor], *args: Tensor) -> Any:
        def along(t: Tensor) -> Tensor:
            return f(*(t * 2 if k == i else a for k, a in enumerate(args)))

        return transform(along, args[i])

    return transformed


def hvp(f: Callable[..., Tensor], t: Tensor) -> Any:
    return torch.func.jvp(f, (t,), (t.flip(0),))


TRANSFORMS = {
    "vmap": lambda f, p, g: torch.vmap(f)(p, g),
    "vmap over params": lambda f, p, g: torch.vmap(f, (0, None))(p, g[0]),
    "vmap over gradients": lambda f, p, g: torch.vmap(f, (None, 0))(p[0], g),
    "jvp of params": of_one(hvp, 0),
    "jvp of gradients": of_one(hvp, 1),
    "grad of params": of_one(lambda f, t: torch.func.grad(lambda t: f(t).sum())(t), 0),
    "grad of gradients": of_one(lambda f, t: torch.func.grad(lambda t: f(t).sum())(t), 1),
    "vmap of jvp": lambda f, p, g: torch.vmap(lambda p, g: hvp(lambda g: f(p, g), g))(p, g),
    "autograd": lambda f, p, g: autograd(f, p, g)[1](p),
    "autograd of params": lambda f, p, g: autograd(lambda p: f(p, g), p)[1](p),
}


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_gradients_are_not_donated_where_something_follows_them(name: str, inference: bool) -> None:
    p, g = torch.rand(2, 3, 3)
    before = g.clone()
    with torch.inference_mode(inference and "autograd" not in name):
        p, g = p.clone(), g.clone()
        theirs = TRANSFORMS[name](partial(stepped, donate=False), p, g)
        ours = TRANSFORMS[name](partial(stepped, donate=True), p, g)
    assert same_trees(ours, theirs)
    assert torch.equal(g, before)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_that_require_grad_are_not_donated(mode: Callable[[], Any]) -> None:
    p, g = torch.rand(2, 3).requires_grad_()
    before = g.detach().clone()
    with mode():
        ours = stepped(p, g, donate=True)
    assert not ours.requires_grad
    assert torch.equal(g, before)


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_params_equal_pytorchs(dtype: torch.dtype, donate: bool) -> None:
    p, g = torch.randn(2, 33, dtype=dtype)
    leaf = p.clone().requires_grad_()
    leaf.grad = g.clone()
    torch.optim.SGD([leaf], lr=0.1).step()
    assert torch.equal(fdl.sgd({"p": p}, {"p": g}, 0.1, donate=donate)["p"], leaf.detach())


@pytest.mark.parametrize("donate", [False, True])
def test_what_is_refused_leaves_the_params_as_they_were(donate: bool) -> None:
    params, grads = ({"a": torch.rand(2), "b": torch.rand(2)} for _ in range(2))
    before = {k: p.clone() for k, p in params.items()}
    with pytest.raises(ValueError, match="sgd: expected grads"):
        fdl.sgd(params, grads | {"b": torch.rand(1)}, 0.1, donate=donate)
    assert all(torch.equal(p, before[k]) for k, p in params.items())


@pytest.mark.builds
def test_compiled_with_donated_gradients_it_is_the_same() -> None:
    p, g = torch.rand(2, 5)
    step = torch.compile(
        lambda p, g: fdl.sgd({"p": p}, {"p": g * 2}, 0.1, donate=True), backend="aot_eager"
    )
    assert torch.equal(step(p, g)["p"], fdl.sgd({"p": p}, {"p": g * 2}, 0.1)["p"])


@pytest.mark.parametrize("lr", [np.float32(0.1), np.float64(0.1), np.int64(1), Fraction(1, 10)])
def test_any_real_number_is_a_learning_rate(lr: Any) -> None:
    params = {"p": torch.ones(2)}
    assert same_bits(fdl.sgd(params, params, lr)["p"], fdl.sgd(params, params, float(lr))["p"])


def test_a_rate_that_is_a_tensor_has_a_gradient_with_several_leaves() -> None:
    leaves, lr = {"a": torch.ones(2), "b": torch.ones(3)}, torch.tensor(0.1, requires_grad=True)
    new = fdl.sgd(leaves, leaves, lr)
    (gradient,) = torch.autograd.grad(new["a"].sum() + new["b"].sum(), lr)
    assert gradient == -5
