"""The README: its code runs as it stands, its links lead somewhere, and its numbers were measured.

A block of code is found by the word after its language; the test that runs it has it in its name.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from statistics import median
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


def load(name: str) -> dict[str, Any]:
    """What a script has written."""
    return json.loads((ROOT / f"docs/results/data/{name}.json").read_text())


def medians(section: str, **case: object) -> dict[str, float]:
    """What each takes, in a case of bench; the first is PyTorch."""
    entries = [e for e in load("bench")[section]["entries"] if e["case"] == case]
    return {e["who"]: median(e["values"]) for e in entries}


def times(section: str, *whose: str, **case: object) -> list[str]:
    """How many times as fast as PyTorch each of them is."""
    took = medians(section, **case)
    theirs = next(iter(took.values()))
    return [f"{theirs / took[who]:.2f}" for who in whose]


def summed(cells: Iterable[str]) -> list[str]:
    """Of "1 of 20" and "2 of 30", 3 and 50."""
    parts = [[int(n.replace(",", "")) for n in cell.split(" of ")] for cell in cells]
    return [f"{sum(column):,}" for column in zip(*parts, strict=True)]


def of_bits() -> list[str]:
    rows = [r for r in load("prove")["Training"] if r["trained by"] == "functional core"]
    losses = summed(row["losses that differ from PyTorch's"] for row in rows)
    return [rows[0]["seeds"], *losses, *summed(row["parameters that do"] for row in rows)]


def of_gradients() -> list[str]:
    found, flagged = (row["caught"].split(" of ") for row in load("prove")["Checker"][-2:])
    return [*found, *flagged]


def of_a_small_network() -> list[str]:
    ours = "core, inference_mode", "core, traced", "core, all epochs compiled"
    return times("step", *ours, "JAX, all epochs", network="ReLU")


def of_many_networks() -> list[str]:
    whose = "core, vmap, compiled", "torch.func, vmap, compiled", "JAX, vmap"
    return times("seeds", *whose, network="ReLU", seeds=64)


def of_digits() -> list[str]:
    whose = "core", "core, traced, flat", "core, compiled epoch", "JAX, epoch"
    return times("digits", *whose, network="MLP")


def of_a_gpt() -> list[str]:
    """With what others have compiled beside ours."""
    small, large = "2 × 64, 4 × 64 characters", "4 × 128, 16 × 64 characters"
    whose = "core", "core, compiled step", "PyTorch, torch.compile(model)", "JAX, compiled step"
    found = [times("gpt", *whose, network=n, style="modern") for n in (small, large)]
    return ["2", "64", *found[0], "4", "128", *found[1]]


def of_memory() -> list[str]:
    took = medians("memory", malloc="that gives back what is freed")
    whose = "value_and_update, params handed over", "PyTorch", "PyTorch, optimizer in hooks"
    return [f"{took[who] / 2**20:.0f}" for who in whose]


def without_python() -> list[str]:
    report = load("onnx")
    faster = [r["times as fast"] for r in report["What it comes to"] if "ONNX" in r["trained by"]]
    return [*faster, *{row["losses in 20 epochs"] for row in report["How far from PyTorch"]}]


COMES_TO = {
    "Bits": of_bits,
    "Gradients": of_gradients,
    "A small network": of_a_small_network,
    "64 of them at once": of_many_networks,
    "Digits": of_digits,
    "A GPT": of_a_gpt,
    "Memory": of_memory,
    "Without Python": without_python,
}
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e-\d+)?")


def test_each_number_in_what_it_comes_to_is_the_measured_one() -> None:
    rows = dict(re.findall(r"^\| \[(.+?)\]\(docs/results/\S+\) \| (.+) \|$", README, re.MULTILINE))
    assert rows.keys() == COMES_TO.keys()
    assert len(rows) <= 8
    for name, text in rows.items():
        assert NUMBER.findall(text) == COMES_TO[name](), name


def test_how_fast_large_networks_are_is_measured() -> None:
    cases = [e["case"] for e in load("bench")["growth"]["entries"]]
    large = [case for case in cases if min(case.values()) >= 1024]
    found = {times("growth", "core", **case)[0] for case in large}
    assert f"{min(found)} to {max(found)} times" in README.replace("\n  ", " ")


def test_the_machine_is_the_one_of_the_measurements() -> None:
    machine = load("bench")["step"]["machine"]
    said = f"an {machine['CPU']}, with torch {machine['torch'].split('+')[0]}"
    assert said in README
