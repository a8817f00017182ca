"""`sgd` beyond its case: complex params, and gradients that are donated."""

from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import functional_dl as fdl
from cases import Draw, same_bits


def steps(t: Tensor) -> list[int]:
    """The strides that are ever taken."""
    return [step for step, size in zip(t.stride(), t.shape, strict=True) if size > 1 and t.numel()]


@given(rng=st.randoms(use_true_random=False))
def test_donated_or_not_the_new_params_are_the_same_and_laid_out_alike(rng: Random) -> None:
    d = Draw(rng)
    shape = d.shape()
    p, g = d.tensor(*shape), d.tensor(*shape)
    g = g.clone() if 0 in g.stride() else g  # what is expanded is nobody's own
    theirs, before = fdl.sgd({"p": p}, {"p": g}, 0.1)["p"], p.clone()
    ours = fdl.sgd({"p": p}, {"p": g}, 0.1, donate=True)["p"]
    assert same_bits(ours, theirs)
    assert steps(ours) == steps(theirs)
    assert same_bits(p, before)


def test_new_params_lie_where_donated_gradients_lay() -> None:
    params, grads = ({"0": {"weight": torch.rand(2, 3), "bias": torch.rand(2)}} for _ in range(2))
    new = fdl.sgd(params, grads, 0.1, donate=True)
    for k, g in grads["0"].items():
        assert new["0"][k].data_ptr() == g.data_ptr()


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
