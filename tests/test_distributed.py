"""Ranks that average gradients train as DistributedDataParallel does, or end with an error."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data_parallel
import pytest
import torch
from torch import distributed as dist

from functional_dl.distributed import average

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "data_parallel.py"


def torchrun(ranks: int, script: Path, *args: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={ranks}", script, *map(str, args)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_the_mean_of_all_kinds_of_trees_and_different_ones_or_a_lost_rank_refused() -> None:
    process = torchrun(2, ROOT / "tests" / "ranks.py")
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert {"rank 0 is done", "rank 1 is done"} == {*re.findall(r"rank \d is done", printed)}


@pytest.mark.parametrize("ranks", [2, 4])
def test_sharded_batches_train_as_distributed_data_parallel(ranks: int, tmp_path: Path) -> None:
    process = torchrun(ranks, SCRIPT, "--epochs=5", "--rounds=1", f"--out={tmp_path}")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    report = json.loads((tmp_path / "data-parallel.json").read_text())
    rows = report["Sharded batches, beside DistributedDataParallel"]
    assert [row["network"] for row in rows] == ["ReLU", "Tanh"]
    for row in rows:
        for steps in ("1", "50"):
            differ, off = row[f"parameters that differ after {steps} steps"].split(", by ")
            assert ranks > 2 or differ == "0 of 1,427"
            assert float(off) < 1e-6  # some units in the last place


@pytest.mark.skipif(sys.platform != "linux", reason="reads the names of threads from /proc")
def test_no_thread_of_the_group_outlives_it(tmp_path: Path) -> None:
    """One that frees a tensor while Python shuts down aborts the process."""
    program = f"""
import data_parallel, pathlib
data_parallel.main(["--epochs=1", "--rounds=1", "--out={tmp_path}"])
print([path.read_text() for path in pathlib.Path("/proc/self/task").glob("*/comm")])
"""
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "a test"}
    alone |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "0", "PYTHONPATH": str(SCRIPT.parent)}
    command = [sys.executable, "-c", program]
    process = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | alone, cwd=ROOT, check=True
    )
    threads = process.stdout.splitlines()[-1]
    assert "python" in threads
    assert "gloo" not in threads


def test_an_ensemble_is_shared_out(tmp_path: Path) -> None:
    process = torchrun(2, SCRIPT, "--seeds=6", "--epochs=60", f"--out={tmp_path}")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    for row in json.loads((tmp_path / "data-parallel.json").read_text())["An ensemble"]:
        assert row["members"] == "6"
        least, median, most = map(float, row["test error: least, median, most"].split())
        assert 0 < least <= median <= most < 0.5


def test_a_killed_rank_ends_the_run_with_its_cause() -> None:
    process = torchrun(2, SCRIPT, "--epochs=1000000")
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


def test_without_torchrun_one_is_told_how_to_start_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        data_parallel.main([])
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert "expected to be started by: torchrun --standalone --nproc-per-node 2" in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("ranks", "args", "message"),
    [
        (3, [], "expected a number of ranks that divides the batch, 100; got 3"),
        (2, ["--seeds=7"], "expected a number of ranks that divides --seeds, 7; got 2"),
    ],
)
def test_ranks_must_divide_what_they_share(
    ranks: int,
    args: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(ranks)}
    for name, value in (started | {"TORCHELASTIC_RUN_ID": "a test"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stop:
        data_parallel.main(args)
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


def test_without_a_process_group_average_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"average: expected torch.distributed to be initialis"):
        average({"a": torch.ones(1)})


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one rank."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": 1.0}, "average: expected a tree of tensors, got 1.0 in it"),
        ({"a": torch.ones(1).int()}, "average: expected a leaf to be a floating tensor"),
    ],
)
def test_a_leaf_that_is_no_floating_tensor_is_refused(tree: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        average(tree)


@pytest.mark.usefixtures("alone")
def test_the_mean_of_one_rank_is_its_own_tree_and_a_copy() -> None:
    leaf = torch.randn(5000)
    mean = average({"a": leaf})["a"]
    assert torch.equal(mean, leaf)
    assert mean.data_ptr() != leaf.data_ptr()
