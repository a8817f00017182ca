"""ranks: sharded batches train as DistributedDataParallel does, and the run ends cleanly."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ranks as script
from conftest import EACH_RANK, assert_refused

SCRIPT = Path(__file__).parents[2] / "scripts" / "ranks.py"


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_sharded_batches_train_as_distributed_data_parallel(
    ranks: int, reports: dict[str, Any]
) -> None:
    tables = reports[f"sharded-{ranks}"]
    rows = tables["Sharded batches, beside DistributedDataParallel"]
    assert [row["network"] for row in rows] == ["ReLU", "Tanh"]
    for row in rows:
        assert row["ranks"] == str(ranks)
        for steps in ("1", "50"):
            differ, off = row[f"parameters that differ after {steps} steps"].split(", by ")
            assert ranks > 2 or differ == "0 of 1,427"
            assert float(off) < 1e-6  # some units in the last place


@pytest.mark.slow
def test_an_ensemble_is_shared_out(reports: dict[str, Any]) -> None:
    for row in reports["ensemble"]["An ensemble"]:
        assert (row["ranks"], row["members"]) == ("2", "6")
        least, median, most = map(float, row["test error: least, median, most"].split())
        assert 0 < least <= median <= most < 0.5


@pytest.mark.slow
def test_no_thread_of_its_group_outlives_a_rank_that_imports_all_by_itself(tmp_path: Path) -> None:
    places = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    address = {"MASTER_ADDR": "localhost", "MASTER_PORT": "0", "TORCHELASTIC_RUN_ID": "a test"}
    run = subprocess.run(
        [sys.executable, EACH_RANK, "ranks", "--epochs=1", "--rounds=1", f"--out={tmp_path}"],
        env=os.environ | places | address,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_with_its_cause(start: Callable[..., subprocess.Popen]) -> None:
    torchrun = "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"
    process = start(*torchrun, SCRIPT, "--epochs=1000000", until="step/s]")
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    )
    os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Signal 9 (SIGKILL)" in errors


@pytest.mark.slow
def test_an_interrupt_leaves_a_line_and_no_process(interrupt: Callable[..., None]) -> None:
    interrupt("ranks.py", "--seeds=2", "--epochs=1000000", until="epoch/s]")


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
    assert_refused(script.main, [*args, f"--out={tmp_path}"], message, capsys)
