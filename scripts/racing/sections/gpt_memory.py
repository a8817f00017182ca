"""The most memory in use while a GPT is trained, beyond that between steps; each in a process.

JAX is left out: it keeps what it has freed, so its process takes the same between steps.
"""

import json
import sys
from argparse import Namespace
from functools import partial
from typing import Any

import torch
from tqdm import tqdm

from racing import charts
from racing.gpt_contestants import PLANS, QUICK, SLOW, case_of, on_text
from racing.memory import EVEN_SMALL, PEAK, beyond, peaks
from racing.race import Entry, pivot, ratio, start
from racing.section import Section
from report.contestant import Whose

CONTESTANTS = [c for c in QUICK + SLOW if c.whose is not Whose.PEER]


def measure(options: Namespace) -> list[Entry]:
    """Each size and style is a case."""
    entries: list[Entry] = []
    if not PEAK.exists():
        tqdm.write("gpt-memory is left out: only Linux tells it", file=sys.stderr)
        return entries
    for i, plan in enumerate(PLANS):

        def args(j: int, i: int = i) -> tuple[str, ...]:
            return str(i), str(j), str(options.threads)

        entries += peaks(__name__, case_of(plan), CONTESTANTS, args, EVEN_SMALL)
    return entries


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    """In MiB, and in relation to PyTorch."""
    return pivot(
        entries,
        lambda e: {"trained by": e.who},
        lambda e: f"{' '.join(e.case.values())}: MiB (PyTorch = 1)",
        lambda e: f"{e.values[0] / 2**20:,.1f} ({1 / ratio(entries, e):.2f})",
    )


SECTION = Section(
    "gpt-memory",
    "A GPT of characters: the most memory beyond that between steps",
    1,
    measure,
    table,
    partial(charts.bars, label="times as little memory as PyTorch eager"),
)


def main(plan: str, contestant: str, threads: str) -> None:
    """Trains, and prints the peak, in bytes, and the losses."""
    torch.set_num_threads(int(threads))
    turn = start(on_text(CONTESTANTS[int(contestant)], PLANS[int(plan)]))
    losses = turn()
    print(json.dumps([beyond(turn, first=1, then=1), losses.tolist()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
