"""From the command to the first result: imports, compilation and 500 epochs of the report."""

import json
import random
import tempfile
import time
from argparse import Namespace
from functools import partial
from typing import Any

import torch
from tqdm import tqdm

import cli
from racing import charts, cold_start
from racing.cold_start import CONTESTANTS
from racing.race import Entry, compare, quartiles, ratio
from racing.section import Section
from report.contestant import Contestant
from report.experiment import RELU


def measure(options: Namespace) -> list[Entry]:
    """Each in a process of its own, with nothing compiled before."""
    seconds: dict[Contestant, list[float]] = {c: [] for c in CONTESTANTS}
    losses: dict[Contestant, torch.Tensor] = {}
    rng = random.Random(options.seed)
    rounds = options.rounds or 2
    with tqdm(total=rounds * len(CONTESTANTS), unit="run", leave=False) as progress:
        for _ in range(rounds):
            for i, c in rng.sample([*enumerate(CONTESTANTS)], len(CONTESTANTS)):
                progress.set_description(c.name)
                with tempfile.TemporaryDirectory() as cache:
                    start = time.perf_counter()
                    printed = cli.run_module(
                        cold_start.__name__,
                        str(i),
                        str(options.threads),
                        environment={"TORCHINDUCTOR_CACHE_DIR": cache},
                    )
                    seconds[c].append(time.perf_counter() - start)
                losses[c] = torch.tensor(json.loads(printed))
                progress.update()
    entries: list[Entry] = []
    for c in CONTESTANTS:
        right, what = compare(losses[c], losses[CONTESTANTS[0]], c.exact)
        values = seconds[c] if right else []
        entries.append(Entry({"network": str(RELU)}, c.name, c.whose, what, values))
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


SECTION = Section(
    "cold",
    "From the command to the result of 500 epochs, with nothing compiled before",
    1,
    measure,
    table,
    partial(charts.bars, label="times as fast as PyTorch eager, imports and compilation included"),
)
