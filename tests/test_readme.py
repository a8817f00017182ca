"""The README's code runs as it stands, and its commands, links and names are there.

A block of code is found by the word after its language; the test that runs it has it in its name.
"""

import re
import subprocess
from pathlib import Path

import pytest
import torch

import functional_dl as fdl

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(.*)\n((?s:.*?))^```$", README, re.MULTILINE)
EXAMPLES = {info.split()[1]: code for info, code in BLOCKS if info.startswith("python ")}
COMMANDS = "".join(code for info, code in BLOCKS if info == "sh")

Capture = pytest.CaptureFixture[str]


def printed(example: str, capsys: Capture) -> str:
    torch.manual_seed(0)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    return capsys.readouterr().out


def test_every_block_of_code_is_run() -> None:
    assert len(EXAMPLES) == README.count("```python")
    others = README.count("```sh") + README.count("```text")
    assert len(BLOCKS) == len(EXAMPLES) + others
    for kind in EXAMPLES:
        assert any(kind in name.split("_") for name in globals() if name.startswith("test")), kind


def learns(kind: str, capsys: Capture) -> bool:
    wrong = re.fullmatch(r"loss [\d.]+, ([\d.]+)% wrong\n", printed(EXAMPLES[kind], capsys))[1]
    return float(wrong) < 20  # of the half that a guess gets wrong


def test_functional_learns_goes_on_to_the_same_bits_and_has_25_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    code = EXAMPLES["functional"]
    assert len([*filter(None, code.splitlines())]) <= 25
    monkeypatch.chdir(tmp_path)
    share = re.fullmatch(r"([\d.]+)% right\n", printed(code, capsys))[1]
    assert float(share) > 90  # of digits that have ten classes
    whole = Path("digits.st").read_bytes()
    Path("digits.st").unlink()
    printed(code.replace(", 30)", ", 12)"), capsys)
    assert Path("digits.st").read_bytes() != whole
    printed(code, capsys)
    assert Path("digits.st").read_bytes() == whole


def test_gpt_learns_and_goes_on(capsys: Capture) -> None:
    code = EXAMPLES["gpt"]
    assert len([*filter(None, code.splitlines())]) <= 25
    short = code.replace("trange(2000)", "trange(30)").replace("range(500)", "range(70)")
    said = re.fullmatch(r"loss ([\d.]+)\n(.*)\n", printed(short, capsys), re.DOTALL)
    assert float(said[1]) < 4  # of log 101 that a guess gets
    assert len(said[2]) == 71


def test_compat_learns_as_it_stands(capsys: Capture) -> None:
    assert learns("compat", capsys)


def test_own_layer_is_one_and_is_printed_with_the_others(capsys: Capture) -> None:
    said = printed(EXAMPLES["own"], capsys)
    assert said.splitlines() == [
        "sequential(",
        "  0: linear(2, 25)",
        "  1: tanh()",
        "  2: scale(25)",
        "  3: linear(25, 2)",
        ")",
    ]


def test_many_networks_learn_at_once(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    # What it compiles to is another test's: tests/core/test_stacked.py.
    monkeypatch.setattr(torch, "compile", lambda f, **_: f)
    short = EXAMPLES["many"].replace("range(200)", "range(20)")
    losses = re.fullmatch(r"losses from ([\d.]+) to ([\d.]+)\n", printed(short, capsys))
    least, most = map(float, losses.groups())
    assert least < 0.15 < most  # the learning rates make a difference


def test_traced_step_is_shown_line_by_line(capsys: Capture) -> None:
    code = printed(EXAMPLES["traced"], capsys)
    assert code.startswith("def forward(self, weight, bias,")
    assert code.count("torch.sub(") == 4  # each parameter's update
    assert "relu" in code


def test_theirs_is_the_optimizer_and_params_are_new() -> None:
    torch.manual_seed(0)
    exec(compile(EXAMPLES["theirs"], "README.md", "exec"), names := {})
    torch.manual_seed(0)
    module = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(torch.ones(4, 2)), torch.zeros(4, 3)).backward()
        optimizer.step()
    assert all(torch.equal(p, names["params"][k]) for k, p in module.state_dict().items())


@pytest.mark.usefixtures("quick_exports")
def test_export_and_client_need_numpy_and_onnxruntime_only_to_train(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    client = EXAMPLES["client"]
    assert len([*filter(None, client.splitlines())]) <= 15
    monkeypatch.chdir(tmp_path)
    printed(EXAMPLES["export"], capsys)
    no_torch = subprocess.run([bare, "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in no_torch.stderr
    run = subprocess.run([bare, "-c", client], capture_output=True, text=True, check=True)
    assert float(re.fullmatch(r"loss ([\d.]+)\n", run.stdout)[1]) < 0.1


def test_checker_catches_the_slip(capsys: Capture) -> None:
    said = "check_vjp: 6, not the derivative: x[0, 0]: analytic"
    assert printed(EXAMPLES["checker"], capsys).startswith(said)


def test_its_commands_and_links_are_there() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    commands = re.findall(r"^make ([\w-]+)", README, re.MULTILINE)
    commands += re.findall(r"`make ([\w-]+)", README)
    for command in commands:
        assert re.search(rf"^{command} ", listed.stdout, re.MULTILINE), command
    for file in re.findall(r"scripts/[\w/]+\.py", COMMANDS):
        assert (ROOT / file).exists()
    for link in re.findall(r"\]\((?!https:)([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_what_it_names_is_there() -> None:
    for name in re.findall(r"\bfdl\.(\w+)", README):
        assert hasattr(fdl, name)
