"""compare, and what all scripts have in common."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import compare
import figures
from conftest import assert_refused


@pytest.mark.usefixtures("unpinned")
def test_compare_prints_its_tables_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new"
    args = ["--epochs=2", "--runs=2", "--format=latex", "--threads=2"]
    compare.main([*args, f"--out={out}"])
    printed, progress = capsys.readouterr()
    assert printed.count(r"\begin{tabular}") == 2
    assert printed.count("0 of 20 ") == printed.count("0 of 8 ") == 6
    assert "threads 2" in printed
    assert "ReLU, PyTorch" in progress
    files = {file.name for file in out.iterdir()}
    figures = {f"figure-{n}.{kind}" for n in (1, 2) for kind in ("png", "svg")}
    assert files == figures | {"compare.json"}
    figure = re.sub(r"\s+", " ", (out / "figure-1.svg").read_text())
    assert "exactly 0 in all 20 steps" in figure
    results = json.loads((out / "compare.json").read_text())
    assert results["machine"]["threads"] == 2
    assert {"CPU", "torch", "Python"} <= set(results["machine"])
    assert {len(seconds) for seconds in results["seconds"].values()} == {2}
    assert {len(losses) for losses in results["losses"].values()} == {2}


@pytest.mark.usefixtures("unpinned")
def test_tables_are_printed_even_if_the_disk_is_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(figures, "save", fail)
    with pytest.raises(OSError, match="No space left on device"):
        compare.main(["--epochs=1", "--runs=1", f"--out={tmp_path}"])
    printed = capsys.readouterr().out
    assert "Table I\n" in printed
    assert "Table II\n" in printed
    assert list(tmp_path.iterdir()) == []


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
    assert_refused(compare.main, args, message, capsys)


def test_a_folder_that_is_read_only_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    folder = tmp_path if os.geteuid() else Path("/proc")  # root may write where others may not
    message = f"argument --out: expected a folder to write to, got '{folder}'"
    assert_refused(compare.main, [f"--out={folder}"], message, capsys)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        compare.main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for option in ("--epochs", "--runs", "--seed", "--threads", "--format", "--out"):
        assert option in printed


@pytest.mark.slow
def test_an_interrupt_leaves_a_line_and_nothing_half_written(
    interrupt: Callable[..., None],
) -> None:
    interrupt("compare.py", "--epochs=100000", until="run/s]")
