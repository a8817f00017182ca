"""The annotations hold, and tell what they should: jaxtyping and beartype check every call."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
CHECKED = "test_parity", "test_values", "test_users_layers", "test_state_dict", "test_sgd"
WRONG = """
import jaxtyping, pytest, torch
jaxtyping.install_import_hook("functional_dl", "beartype.beartype").__enter__()
import functional_dl as fdl
from functional_dl import compat
from functional_dl.layers import _linear

x = torch.ones(4, 3)
_linear.affine = lambda x, weight, bias: x[0]
for call in (
    lambda: fdl.linear("3", 2),
    lambda: fdl.linear(3, 2).init(3),
    lambda: fdl.sgd({}, {}, None),
    lambda: fdl.sequential(fdl.relu),
    lambda: fdl.value_and_grad(fdl.relu(), fdl.mse())({}, x, [1.0]),
    lambda: fdl.value_and_update(fdl.relu(), fdl.mse(), None),
    lambda: fdl.value_and_grad(fdl.relu(), fdl.relu()),
    lambda: fdl.summary(fdl.relu(), None),
    lambda: compat.Linear(3, 2).forward(None),
    lambda: fdl.layer(lambda: fdl.relu())(),
    lambda: fdl.trace(3),
    lambda: fdl.scan(3, x, x),
    lambda: fdl.linear(3, 2).vjp(fdl.linear(3, 2).init(), x),  # whose Y lacks a dimension
):
    with pytest.raises((jaxtyping.TypeCheckError, TypeError), match="Type-check error"):
        call()
"""


def run(*command: str) -> None:
    """Runs Python in a process of its own, where functional_dl is imported anew."""
    run = subprocess.run(
        [sys.executable, *command], cwd=TESTS.parent, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_right_calls_pass() -> None:
    files = [str(TESTS / "core" / f"{name}.py") for name in CHECKED]
    checked = "--jaxtyping-packages=functional_dl,beartype.beartype", "--hypothesis-profile=checked"
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", *checked, *files, str(TESTS / "compat"))


def test_wrong_calls_are_told() -> None:
    run("-c", WRONG)
