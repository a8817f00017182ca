"""prove: its tables, and its status."""

from dataclasses import replace
from functools import partial

import pytest

import functional_dl as fdl
import prove
from proof import parity, tables
from proof.faults import FAULTS
from report import trainers
from report.experiment import RELU


def test_prove_prints_three_tables_and_says_that_all_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        prove.main(["--cases=2", "--draws=9", "--seeds=1", "--epochs=2", "--format=latex"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert printed.count(r"\begin{tabular}") == 3
    assert f"{len(FAULTS)} of {len(FAULTS)}" in printed
    assert "0 of 9 " in printed
    assert printed.count("0 of 20 ") == printed.count("0 of 8 ") == 4


@pytest.mark.parametrize("broken", ["parity", "checker", "training"])
def test_prove_has_status_1_when_anything_falls_short(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "parity":
        wrong = partial(parity.CASES["tanh"], make=fdl.relu)
        monkeypatch.setattr(tables, "CASES", {"tanh": wrong})
        monkeypatch.delitem(tables.FORMULAS, "tanh")
    elif broken == "checker":
        monkeypatch.setattr(fdl, "check_vjp", lambda *_: None)
    else:
        always_relu = replace(trainers.COMPAT, begin=lambda _: trainers.pytorch(RELU))
        monkeypatch.setattr(tables, "CONTESTANTS", (trainers.CORE, always_relu, trainers.PYTORCH))
    cases = 9 if broken == "parity" else 1  # some have no elements that could differ
    with pytest.raises(SystemExit) as stop:
        prove.main([f"--cases={cases}", "--draws=1", "--seeds=1", "--epochs=1"])
    assert stop.value.code == 1
