"""The annotations hold, and tell what they should: jaxtyping and beartype check every call."""

import importlib
import sys
from collections.abc import Iterator
from random import Random
from types import ModuleType

import jaxtyping
import pytest
import torch


@pytest.fixture(scope="module")
def fdl() -> Iterator[ModuleType]:
    """functional_dl, imported anew with its annotations checked at every call."""
    plain = {name: m for name, m in sys.modules.items() if name.startswith("functional_dl")}
    for name in plain:
        del sys.modules[name]
    with jaxtyping.install_import_hook("functional_dl", "beartype.beartype"):
        checked = importlib.import_module("functional_dl")
        importlib.import_module("functional_dl.compat")
    yield checked
    for name in [name for name in sys.modules if name.startswith("functional_dl")]:
        del sys.modules[name]
    sys.modules.update(plain)


@pytest.mark.parametrize("name", parity.CASES)
def test_right_calls_pass(fdl: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "fdl", fdl)
    monkeypatch.setattr(parity, "compat", fdl.compat)
    for seed in range(20):
        assert all(parity.same_bits(a, b) for _, a, b in parity.CASES[name](Random(seed)))


def test_value_and_grad_passes(fdl: ModuleType) -> None:
    model = fdl.sequential(fdl.linear(2, 3), fdl.relu(), fdl.linear(3, 1))
    f = fdl.value_and_grad(model, fdl.mse())
    loss, grads = f(model.init(), torch.ones(4, 2), torch.ones(4, 1))
    assert loss.dim() == 0
    assert list(grads) == ["0", "1", "2"]


def test_wrong_calls_are_told(fdl: ModuleType) -> None:
    x = torch.ones(4, 3)
    for call in (
        lambda: fdl.linear(3, 2).apply({}, [1.0]),
        lambda: fdl.linear("3", 2),
        lambda: fdl.linear(3, 2).vjp(None, x),
        lambda: fdl.relu().apply({}, x.long()),
        lambda: fdl.tanh().vjp({}, x)[1](x.long()),
        lambda: fdl.mse().apply(x, x[0]),
        lambda: fdl.sgd({}, {}, None),
        lambda: fdl.sequential(fdl.relu),
        lambda: fdl.compat.Linear(3, 2).forward(None),
    ):
        with pytest.raises((jaxtyping.TypeCheckError, TypeError), match="Type-check error"):
            call()
