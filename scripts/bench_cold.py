"""From the command to the first result: imports, compilation and 500 epochs of the report."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from typing import Any

import cli
import torch
from contestants import WAYS, begin
from race import Entry, compare, quartiles, ratio
from tqdm import tqdm

THREADS = 1
EPOCHS, EPOCHS_A_TURN, CHECKED = 500, 10, 2

SHOWN = (
    "PyTorch",
    "PyTorch, torch.compile(model)",
    "torch.func, compiled epoch",
    "NumPy by hand",
    "JAX, all epochs",
    "compat",
    "core, inference_mode",
    "core, all epochs compiled",
)


def measure(options: Namespace) -> list[Entry]:
    """Each in a process of its own, with nothing compiled before."""
    seconds: dict[str, list[float]] = {who: [] for who in SHOWN}
    losses: dict[str, torch.Tensor] = {}
    rng = random.Random(options.seed)
    rounds = options.rounds or 2
    with tqdm(total=rounds * len(SHOWN), unit="run", leave=False) as progress:
        for _ in range(rounds):
            for who in rng.sample(SHOWN, len(SHOWN)):
                progress.set_description(who)
                with tempfile.TemporaryDirectory() as cache:
                    start = time.perf_counter()
                    run = subprocess.run(
                        [sys.executable, __file__, who, str(options.threads)],
                        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache},
                        capture_output=True,
                        check=True,
                    )
                    seconds[who].append(time.perf_counter() - start)
                losses[who] = torch.tensor(json.loads(run.stdout))
                progress.update()
    entries: list[Entry] = []
    for who in SHOWN:
        right, what = compare(losses[who], losses["PyTorch"], WAYS[who].exact)
        entries.append(Entry({"network": "ReLU"}, who, what, seconds[who] if right else []))
    return entries


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """In seconds."""
    return [
        {
            **e.case,
            "trained by": e.who,
            "times as fast": f"{ratio(entries, e):.2f}" if e.values else "–",
            "seconds": f"{quartiles(e.values)[1]:.1f}" if e.values else "–",
            "losses": e.losses,
        }
        for e in entries
    ]


def main(who: str, threads: str) -> None:
    """Trains, and prints the losses of the first epochs."""
    cli.use_threads(int(threads))
    turn = begin(WAYS[who], "ReLU", EPOCHS_A_TURN)
    losses = [turn() for _ in range(EPOCHS // EPOCHS_A_TURN)]
    print(json.dumps(torch.cat(losses[:CHECKED]).tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
