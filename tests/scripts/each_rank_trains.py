"""What tests start: groups of ranks, which run ranks.py or gpt.py, for as short as can be.

It does as torchrun does; but its ranks are copies of this process, and each is spared the seconds
that imports take. A rank that is started by itself runs the script that its first argument names.
"""

import sys
from importlib import import_module
from pathlib import Path

from torch.distributed import is_torchelastic_launched
from torch.distributed.launcher import LaunchConfig, elastic_launch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from report import sharded

TINY = "--layers=1", "--width=8", "--heads=2", "--block=8", "--steps=20"
GROUPS = {
    "sharded-2": (2, "ranks", "--epochs=5", "--rounds=1"),
    "sharded-4": (4, "ranks", "--epochs=5", "--rounds=1"),
    "ensemble": (2, "ranks", "--seeds=6", "--epochs=60"),
    "gpt": (2, "gpt", "--batch=5", *TINY),
}
"""By name: how many ranks, what they run, and its arguments."""


def train(script: str, *args: str) -> None:
    """What each rank does."""
    sharded.STEPS_A_TURN = 1
    import_module(script).main([*args])
    # A thread of the group that outlived it could abort the process while Python shuts down.
    threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in thread for thread in threads), threads


def train_groups(folder: str) -> None:
    """One group after the other, each with its files in a folder of its name."""
    for module in ("torch._dynamo", "ranks", "gpt"):  # DistributedDataParallel imports the first
        import_module(module)
    for name, (size, script, *args) in GROUPS.items():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=size,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            start_method="fork",
        )
        elastic_launch(config, train)(script, *args, f"--out={folder}/{name}")


if __name__ == "__main__":
    (train if is_torchelastic_launched() else train_groups)(*sys.argv[1:])
