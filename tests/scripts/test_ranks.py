"""ranks: sharded batches train as DistributedDataParallel does, and the run ends cleanly."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ranks as script

SCRIPT = Path(__file__).parents[2] / "scripts" / "ranks.py"


def torchrun(ranks: int, script: Path, *args: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={ranks}", script, *map(str, args)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def report(ranks: int, out: Path, *args: str) -> dict[str, Any]:
    process = torchrun(
        ranks, Path(__file__).with_name("each_rank_trains.py"), f"--out={out}", *args
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads((out / "ranks.json").read_text())


@pytest.mark.parametrize("ranks", [2, 4])
def test_sharded_batches_train_as_distributed_data_parallel(ranks: int, tmp_path: Path) -> None:
    tables = report(ranks, tmp_path, "--epochs=5", "--rounds=1")
    rows = tables["Sharded batches, beside DistributedDataParallel"]
    assert [row["network"] for row in rows] == ["ReLU", "Tanh"]
    for row in rows:
        for steps in ("1", "50"):
            differ, off = row[f"parameters that differ after {steps} steps"].split(", by ")
            assert ranks > 2 or differ == "0 of 1,427"
            assert float(off) < 1e-6  # some units in the last place


def test_an_ensemble_is_shared_out(tmp_path: Path) -> None:
    for row in report(2, tmp_path, "--seeds=6", "--epochs=60")["An ensemble"]:
        assert row["members"] == "6"
        least, median, most = map(float, row["test error: least, median, most"].split())
        assert 0 < least <= median <= most < 0.5


def test_a_killed_rank_ends_the_run_with_its_cause(tmp_path: Path) -> None:
    process = torchrun(2, SCRIPT, "--epochs=1000000", f"--out={tmp_path}")
    seen = ""
    while "1000000" not in seen and "10000000" not in seen:  # until it trains
        seen += process.stderr.read(1) or pytest.fail(f"it ended by itself: {seen}")
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    )
    os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Signal 9 (SIGKILL)" in errors


def test_an_interrupt_leaves_a_line_and_no_process(interrupt: Callable[..., None]) -> None:
    interrupt("ranks.py", "--epochs=1000000", until="step/s]")


@pytest.mark.parametrize(
    ("ranks", "args", "message"),
    [
        (3, [], "expected a number of ranks that divides the batch, 100; got 3"),
        (2, ["--seeds=7"], "expected a number of ranks that divides --seeds, 7; got 2"),
        (None, ["--seeds=7"], "expected a number of ranks that divides --seeds, 7; got 2"),
    ],
)
def test_ranks_must_divide_what_they_share(
    ranks: int | None,
    args: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if ranks:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a test")
        monkeypatch.setenv("WORLD_SIZE", str(ranks))
    with pytest.raises(SystemExit) as stop:
        script.main([*args, f"--out={tmp_path}"])
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1
