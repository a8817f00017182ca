"""The README's code runs as it stands, and its commands exist."""

import re
import subprocess
from pathlib import Path

import pytest
import torch

import functional_dl as fdl

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def printed(example: str, capsys: pytest.CaptureFixture[str]) -> str:
    torch.manual_seed(0)
    exec(example, {})
    return capsys.readouterr().out


@pytest.mark.parametrize("example", EXAMPLES[:2], ids=["functional", "compat"])
def test_an_example_learns_as_it_stands(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = float(re.fullmatch(r"loss [\d.]+, ([\d.]+)% wrong\n", printed(example, capsys))[1])
    assert wrong < 20  # of the half that a guess gets wrong


def test_many_networks_learn_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it compiles to is another test's: tests/test_stacked.py.
    monkeypatch.setattr(torch, "compile", lambda f, **_: f)
    short = EXAMPLES[2].replace("range(200)", "range(20)")
    losses = re.fullmatch(r"losses from ([\d.]+) to ([\d.]+)\n", printed(short, capsys))
    least, most = map(float, losses.groups())
    assert least < 0.15 < most  # the learning rates make a difference


def test_the_checker_catches_the_slip(capsys: pytest.CaptureFixture[str]) -> None:
    said = "check_vjp: 6, not the derivative: x[0, 0]: analytic"
    assert printed(EXAMPLES[-1], capsys).startswith(said)


def test_its_commands_and_links_are_there() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{command}\b", listed.stdout, re.MULTILINE)
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists()


def test_what_it_names_is_there() -> None:
    for name in re.findall(r"\bfdl\.(\w+)", README):
        assert hasattr(fdl, name)
