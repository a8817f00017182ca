"""The README's code runs as it stands, and its commands exist."""

import re
import subprocess
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["functional", "compat"])
def test_an_example_learns_as_it_stands(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    exec(example, {})
    wrong = float(re.fullmatch(r"loss [\d.]+, ([\d.]+)% wrong\n", capsys.readouterr().out)[1])
    assert wrong < 20  # of the half that a guess gets wrong


def test_its_commands_and_links_are_there() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{command}\b", listed.stdout, re.MULTILINE)
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists()
