"""The scripts as a user runs them."""

import json
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import compare
import experiment
import prove
import pytest

import functional_dl as fdl

SCRIPTS = Path(__file__).parent.parent / "scripts"
SHORT = ["--epochs=2", "--runs=2"]


def start(out: Path, *args: str) -> subprocess.Popen:
    command = [sys.executable, SCRIPTS / "compare.py", f"--out={out}", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_compare_prints_its_tables_and_writes_its_files(tmp_path: Path) -> None:
    process = start(tmp_path / "new", *SHORT, "--format=latex", "--threads=2")
    printed, progress = process.communicate()
    assert process.returncode == 0, progress
    assert printed.count(r"\begin{tabular}") == 2
    assert printed.count("0 of 20 ") == printed.count("0 of 8 ") == 6
    assert "threads 2" in printed
    assert "ReLU, PyTorch" in progress
    files = {file.name for file in (tmp_path / "new").iterdir()}
    figures = {f"figure-{n}.{kind}" for n in (1, 2) for kind in ("png", "svg")}
    assert files == figures | {"compare.json"}
    assert "exactly 0 in all 20 steps" in re.sub(
        r"\s+", " ", (tmp_path / "new" / "figure-1.svg").read_text()
    )
    results = json.loads((tmp_path / "new" / "compare.json").read_text())
    assert results["machine"]["threads"] == 2
    assert {"CPU", "torch", "Python"} <= set(results["machine"])
    assert {len(seconds) for seconds in results["seconds"].values()} == {2}
    assert {len(losses) for losses in results["losses"].values()} == {2}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--epochs=0"], "argument --epochs: expected a whole number from 1, got '0'"),
        (["--runs=many"], "argument --runs: expected a whole number from 1, got 'many'"),
        (["--threads=-1"], "argument --threads: expected a whole number from 1, got '-1'"),
        (["--seed=1.5"], "argument --seed: expected a whole number from 0, got '1.5'"),
        (["--format=word"], "argument --format: expected one of "),
        (["--out=/dev/null/x"], "argument --out: expected a folder to write to, got '/dev/null/x'"),
        (["--epoch"], "argument --epochs: expected one argument"),
        (["more"], "unrecognized arguments: more"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_arguments_get_one_clear_line_and_status_2(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        compare.main(args)
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        compare.main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for option in ("--epochs", "--runs", "--seed", "--threads", "--format", "--out"):
        assert option in printed


def test_an_interrupt_leaves_no_traceback_and_nothing_half_written(tmp_path: Path) -> None:
    process = start(tmp_path, "--epochs=100000")
    seen = ""
    while "ReLU" not in seen and "Tanh" not in seen:  # until it trains
        seen += process.stderr.read(1) or pytest.fail(f"it ended by itself: {seen}")
    process.send_signal(signal.SIGINT)
    printed, progress = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert progress.endswith("interrupted, nothing written\n")
    assert "Traceback" not in progress
    assert printed == ""
    assert list(tmp_path.iterdir()) == []


def test_prove_prints_three_tables_and_says_that_all_holds(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        prove.main(["--cases=2", "--draws=9", "--seeds=1", "--epochs=2", "--format=latex"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert printed.count(r"\begin{tabular}") == 3
    assert f"{len(prove.FAULTS)} of {len(prove.FAULTS)}" in printed
    assert "0 of 9 " in printed
    assert printed.count("0 of 20 ") == printed.count("0 of 8 ") == 4


@pytest.mark.parametrize("broken", ["parity", "checker", "training"])
def test_prove_has_status_1_when_anything_falls_short(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "parity":
        wrong = partial(prove.CASES["tanh"], make=fdl.relu)
        monkeypatch.setitem(prove.CASES, "tanh", wrong)
        monkeypatch.delitem(prove.FORMULAS, "tanh")
    elif broken == "checker":
        monkeypatch.setattr(fdl, "check_vjp", lambda *_: None)
    else:
        monkeypatch.setitem(prove.CONTESTANTS, "compat", lambda _: experiment.pytorch("ReLU"))
    with pytest.raises(SystemExit) as stop:
        prove.main(["--cases=9", "--draws=1", "--seeds=1", "--epochs=1"])
    assert stop.value.code == 1


def test_onnx_train_trains_without_torch_and_says_how_far_from_pytorch(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPTS / "onnx_train.py", "--epochs=25", "--rounds=1"]
    command += ["--format=latex", f"--out={tmp_path}"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(r"\begin{tabular}") == 2
    assert "torch is not imported." in run.stdout
    files = {
        f"{n}-{kind}.onnx" for n in ("ReLU", "Tanh") for kind in ("step", "training", "predict")
    }
    assert {f.name for f in tmp_path.iterdir()} == files | {"onnx.json", "onnx.png", "onnx.svg"}
    report = json.loads((tmp_path / "onnx.json").read_text())
    learnt, far = report["What it comes to"], report["How far from PyTorch"]
    for ours, theirs in ((learnt[1], learnt[0]), (learnt[3], learnt[2])):
        assert ours["network"] == theirs["network"]
        for what in ("loss", "training error", "test error"):
            assert ours[what] == theirs[what]
    for row in far:
        assert float(row["parameters, one step from 25 points"]) < 2e-7
        assert float(row["losses in 20 epochs"]) < 1e-6
