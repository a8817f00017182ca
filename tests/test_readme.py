"""The README: its code runs as it stands, its links lead somewhere, and its numbers were measured.

A block of code is found by the word after its language; the test that runs it has it in its name.
"""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(.*)\n((?s:.*?))^```$", README, re.MULTILINE)
EXAMPLES = {info.split()[1]: code for info, code in BLOCKS if info.startswith("python ")}

Capture = pytest.CaptureFixture[str]


def printed(example: str, capsys: Capture) -> str:
    torch.manual_seed(0)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    return capsys.readouterr().out


def test_it_is_a_screen_and_a_half() -> None:
    assert len(README.splitlines()) <= 120


def test_every_block_of_code_is_run() -> None:
    assert len(EXAMPLES) == README.count("```python")
    assert len(BLOCKS) == len(EXAMPLES) + README.count("```sh")
    for kind in EXAMPLES:
        assert any(kind in name.split("_") for name in globals() if name.startswith("test")), kind


def test_functional_learns_in_20_lines(capsys: Capture) -> None:
    code = EXAMPLES["functional"]
    assert len([*filter(None, code.splitlines())]) <= 20
    wrong = re.fullmatch(r"loss [\d.]+, ([\d.]+)% wrong\n", printed(code, capsys))[1]
    assert float(wrong) < 20  # of the half that a guess gets wrong


def test_digits_learns_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)  # the guide's test has all epochs, and compares bits
    for epochs in (2, 4):
        said = printed(EXAMPLES["digits"].replace(", 30)", f", {epochs})"), capsys)
    assert float(re.fullmatch(r"([\d.]+)% right\n", said)[1]) > 80  # of ten classes


def test_its_links_are_there() -> None:
    for link in re.findall(r"\]\((?!https:)([^)]+)\)", README):
        assert (ROOT / link).exists(), link
