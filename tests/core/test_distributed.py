"""`average` is the mean over ranks; different trees and lost ranks are errors on all."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist

from functional_dl.distributed import average

ROOT = Path(__file__).parents[2]


def test_the_mean_of_all_kinds_of_trees_and_different_ones_or_a_lost_rank_refused() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", Path(__file__).with_name("each_rank.py")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    assert {"rank 0 is done", "rank 1 is done"} == {*re.findall(r"rank \d is done", run.stdout)}


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
