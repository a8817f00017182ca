"""The annotations hold, and tell what they should: jaxtyping and beartype check every call."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jaxtyping
import pytest
import torch

import functional_dl as fdl
from functional_dl import compat
from functional_dl.layers import _linear

CORE = Path(__file__).parent
FILES = "types", "parity", "values", "users_layers", "update_with_state"


@pytest.mark.slow
@pytest.mark.long
def test_annotations_hold_where_they_are_checked() -> None:
    """In a process of its own, where functional_dl is imported with checks."""
    files = [CORE / f"test_{name}.py" for name in FILES]
    by = "--jaxtyping-packages=functional_dl,beartype_once.beartype_once"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        by,
        "--hypothesis-profile=checked",
        "-k",
        "not 2-threads",
    ]
    run = subprocess.run(
        [*command, *files, CORE.with_name("compat")],
        cwd=CORE.parents[1],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


X = torch.ones(4, 3)


@pytest.mark.checked
@pytest.mark.parametrize(
    "call",
    [
        lambda: fdl.linear("3", 2),
        lambda: fdl.linear(3, 2).init(3),
        lambda: fdl.sgd({}, {}, None),
        lambda: fdl.sequential(fdl.relu),
        lambda: fdl.value_and_grad(fdl.relu(), fdl.mse())({}, X, [1.0]),
        lambda: fdl.value_and_grad(fdl.relu(), fdl.relu()),
        lambda: fdl.value_and_update(fdl.relu(), fdl.mse(), None),
        lambda: fdl.summary(fdl.relu(), None),
        lambda: fdl.layer(lambda: fdl.relu())(),
        lambda: fdl.trace(3),
        lambda: fdl.scan(3, X, X),
        lambda: compat.Linear(3, 2).forward(None),
    ],
)
def test_wrong_calls_are_told(call: Callable[[], object]) -> None:
    with pytest.raises((jaxtyping.TypeCheckError, TypeError), match="Type-check error"):
        call()


@pytest.mark.checked
def test_a_y_of_a_wrong_shape_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_linear, "affine", lambda x, weight, bias: x[0])
    layer = fdl.linear(3, 2)
    with pytest.raises(jaxtyping.TypeCheckError, match="Type-check error"):
        layer.vjp(layer.init(), X)
