"""What test_ranks.py runs on each rank, by torchrun: ranks.py, timed for as short as can be."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import ranks
from report import sharded

if __name__ == "__main__":
    sharded.STEPS_A_TURN = 1
    ranks.main(sys.argv[1:])
    # A thread of the group that outlived it could abort the process while Python shuts down.
    threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in thread for thread in threads), threads
