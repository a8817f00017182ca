"""The guides: what their code comes to; that all of it runs is seen when the site is built."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import functional_dl as fdl

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
PAGES = {page.stem: page.read_text() for page in sorted(GUIDES.glob("*.md"))}

Capture = pytest.CaptureFixture[str]


def cells(page: str) -> list[str]:
    """The code of a page, cell by cell, without their options."""
    found = re.findall(r"^```\{code-cell\} python\n((?s:.*?))^```$", PAGES[page], re.MULTILINE)
    return [re.sub(r"^:tags:.*\n", "", cell) for cell in found]


def run(page: str, *shorter: tuple[str, str]) -> dict[str, Any]:
    """Runs the cells of a page, with some numbers smaller; gives the names that they set."""
    torch.manual_seed(0)
    code = "\n".join(cells(page))
    for long, short in shorter:
        assert long in code
        code = code.replace(long, short)
    exec(compile(code, page, "exec"), names := {"__name__": "guide"})
    return names


@pytest.mark.slow
def test_a_network_learns_digits_and_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    run("01-train-a-network")
    share = re.search(r"^([\d.]+)% right$", capsys.readouterr().out, re.MULTILINE)[1]
    assert float(share) > 90  # of digits that have ten classes
    whole = Path("digits.st").read_bytes()
    Path("digits.st").unlink()
    run("01-train-a-network", (", 30):", ", 12):"))
    assert Path("digits.st").read_bytes() != whole
    run("01-train-a-network")
    assert Path("digits.st").read_bytes() == whole


def test_from_pytorch_bits_are_equal_and_its_optimizer_trains_on_our_gradients(
    capsys: Capture,
) -> None:
    names = run("02-from-pytorch")
    assert capsys.readouterr().out.splitlines()[0] == "True True"
    torch.manual_seed(0)
    module = torch.nn.Linear(2, 3)
    module.load_state_dict(names["module"].state_dict())
    ours = fdl.to_state_dict(names["params"])
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(torch.ones(4, 2)), torch.zeros(4, 3)).backward()
        optimizer.step()
    assert all(torch.equal(p, ours[k]) for k, p in module.state_dict().items())


def test_from_jax_an_epoch_is_a_scan(capsys: Capture) -> None:
    assert run("03-from-jax")["losses"].shape == (10,)


def test_the_reports_api_learns(capsys: Capture) -> None:
    run("04-compat")
    wrong = re.match(r"loss [\d.]+, ([\d.]+)% wrong\n", capsys.readouterr().out)[1]
    assert float(wrong) < 20  # of the half that a guess gets wrong


def test_ones_own_layer_is_printed_a_slip_is_caught_and_ones_own_optimizer_learns(
    capsys: Capture,
) -> None:
    names = run("05-your-own")
    said = capsys.readouterr().out
    assert "  2: scale(25)\n" in said
    assert "check_vjp: 6, not the derivative: x[0, 0]: analytic" in said
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", said)]
    assert losses[-1] < losses[0] / 2
    grads = names["grads"]
    step = fdl.value_and_update(names["model"], names["log_cosh"](), names["lion"]())
    state = names["lion"]().init(grads)
    assert step(grads, names["x"], names["x"], state, 0.1)[1].keys() == grads.keys()


def test_many_networks_learn_at_once(capsys: Capture) -> None:
    run("06-many-networks", ("range(30)", "range(20)"))
    least, most = re.match(r"losses from ([\d.]+) to ([\d.]+)", capsys.readouterr().out).groups()
    assert float(least) < 0.15 < float(most)  # the learning rates make a difference


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own
def test_the_products_with_the_hessian_are_those_of_the_whole(capsys: Capture) -> None:
    names = run("07-per-sample")
    said = capsys.readouterr().out
    assert "True\n" in said
    (power,) = re.findall(r"sharpness ([\d.]+)", said)
    largest = torch.linalg.eigvalsh(names["hessian"])[-1].item()
    assert float(power) == pytest.approx(largest, rel=1e-2)
    torch.testing.assert_close(names["hessian"], names["hessian"].mT)


def test_a_traced_step_is_shown_line_by_line(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it compiles to is another test's: tests/core/test_stacked.py.
    monkeypatch.setattr(torch, "compile", lambda **_: lambda f: f)
    run("08-faster")
    said = capsys.readouterr().out
    assert said.startswith("# constant = -0.0\ndef forward(self, constant, weight, bias,")
    assert said.count("torch._foreach_sub(") == 1  # the update of all four params
    assert "\n1 expected " in said


def test_less_memory_has_the_same_bits(capsys: Capture) -> None:
    run("09-less-memory")
    assert capsys.readouterr().out.startswith("True True\n")


@pytest.mark.usefixtures("quick_exports")
def test_what_trains_from_a_file_needs_numpy_and_onnxruntime_only(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporting, client, _ = cells("10-without-python")
    assert len([*filter(None, client.splitlines())]) <= 15
    monkeypatch.chdir(tmp_path)
    exec(exporting, {})
    no_torch = subprocess.run([bare, "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in no_torch.stderr
    run = subprocess.run([bare, "-c", client], capture_output=True, text=True, check=True)
    assert float(re.fullmatch(r"loss ([\d.]+)\n", run.stdout)[1]) < 0.1


def test_a_gpt_learns_and_goes_on(capsys: Capture) -> None:
    names = run("12-gpt", ("trange(200)", "trange(30)"), ("range(200)", "range(70)"))
    assert names["loss"] < 4  # of log 101 that a guess gets
    assert len(names["said"]) == 71
    listed = {Path(fdl.__file__).parents[1] / file for file in names["ORDER"]}
    assert all(file.exists() for file in listed)


def test_what_the_pages_name_is_there() -> None:
    root = GUIDES.parents[1]
    listed = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True)
    commands = {line.split()[0] for line in listed.stdout.splitlines()}
    for page in PAGES.values():
        assert {*re.findall(r"(?:^|`)make ([a-z-]+)", page, re.MULTILINE)} <= commands
        assert all(hasattr(fdl, name) for name in re.findall(r"\bfdl\.(\w+)", page))
        for file in re.findall(r"\b((?:scripts|playground|functional_dl)/[\w/]+\.\w+)", page):
            assert (root / file).exists(), file
