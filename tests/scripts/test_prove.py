"""prove: its tables, its file, and its status."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import functional_dl as fdl
import prove
from proof import gpts, parity, tables
from proof.faults import FAULTS
from report import trainers
from report.experiment import RELU


def test_prove_prints_four_tables_says_that_all_holds_and_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--cases=2", "--draws=9", "--seeds=1", "--epochs=2", "--steps=3"]
    with pytest.raises(SystemExit) as stop:
        prove.main([*sizes, "--format=latex", f"--out={tmp_path}"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert printed.count(r"\begin{tabular}") == 4
    assert f"{len(FAULTS)} of {len(FAULTS)}" in printed
    assert "0 of 9 " in printed
    assert printed.count("0 of 20 ") == printed.count("0 of 8 ") == 4
    assert printed.count("0 of 3 ") == 4
    report = json.loads((tmp_path / "prove.json").read_text())
    assert report.keys() == {"machine", "Parity", "Checker", "Training", "GPT"}
    assert report["Checker"][-1] == {"planted fault": "none", "caught": "0 of 9", "as": ""}
    assert report["machine"]["date"]


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["parity", "checker", "training", "GPT"])
def test_prove_has_status_1_when_anything_falls_short(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "parity":
        wrong = partial(parity.CASES["tanh"], make=fdl.relu)
        monkeypatch.setattr(tables, "CASES", {"tanh": wrong})
        monkeypatch.delitem(tables.FORMULAS, "tanh")
    elif broken == "checker":
        monkeypatch.setattr(fdl, "check_vjp", lambda *_: None)
    elif broken == "GPT":
        monkeypatch.setattr(gpts, "WRITTEN_OUT", gpts.QUICK)
    else:
        always_relu = replace(trainers.COMPAT, begin=lambda _: trainers.pytorch(RELU))
        monkeypatch.setattr(tables, "CONTESTANTS", (trainers.CORE, always_relu, trainers.PYTORCH))
    cases = 9 if broken == "parity" else 1  # some have no elements that could differ
    sizes = [f"--cases={cases}", "--draws=1", "--seeds=1", "--epochs=1", "--steps=3"]
    with pytest.raises(SystemExit) as stop:
        prove.main([*sizes, f"--out={tmp_path}"])
    assert stop.value.code == 1
    assert (tmp_path / "prove.json").exists()
