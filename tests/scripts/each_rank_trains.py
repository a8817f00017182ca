"""What test_ranks.py starts: groups of ranks, which run ranks.py, timed for as short as can be.

It does as torchrun does; but its ranks are copies of this process, and each is spared the seconds
that imports take. A rank that is started by itself runs ranks.py with its arguments.
"""

import sys
from importlib import import_module
from pathlib import Path

from torch.distributed import is_torchelastic_launched
from torch.distributed.launcher import LaunchConfig, elastic_launch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import ranks
from report import sharded

GROUPS = {
    "sharded-2": (2, "--epochs=5", "--rounds=1"),
    "sharded-4": (4, "--epochs=5", "--rounds=1"),
    "ensemble": (2, "--seeds=6", "--epochs=60"),
}
"""By name: how many ranks, and their arguments."""


def train(*args: str) -> None:
    """What each rank does."""
    sharded.STEPS_A_TURN = 1
    ranks.main([*args])
    # A thread of the group that outlived it could abort the process while Python shuts down.
    threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in thread for thread in threads), threads


def train_groups(folder: str) -> None:
    """One group after the other, each with its files in a folder of its name."""
    import_module("torch._dynamo")  # which DistributedDataParallel imports
    for name, (size, *args) in GROUPS.items():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=size,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            start_method="fork",
        )
        elastic_launch(config, train)(*args, f"--out={folder}/{name}")


if __name__ == "__main__":
    (train if is_torchelastic_launched() else train_groups)(*sys.argv[1:])
