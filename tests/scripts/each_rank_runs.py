"""What test_ranks.py runs on each of two ranks, by torchrun: both kinds of training, one by one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import ranks

if __name__ == "__main__":
    out = sys.argv[1]
    ranks.main(["--epochs=5", "--rounds=1", f"--out={out}/sharded"])
    ranks.main(["--seeds=6", "--epochs=60", f"--out={out}/ensemble"])
    # A thread of the group that outlived it could abort the process while Python shuts down.
    threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in thread for thread in threads), threads
