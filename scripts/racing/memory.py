"""How much memory a process uses, and has used at most, as Linux tells it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import cli
from racing.race import Entry, compare
from report.contestant import Contestant

PEAK = Path("/proc/self/clear_refs")
"""A "5" written here has Linux forget how much memory the process had at most."""

MALLOCS = {
    "that gives back what is freed": {"MALLOC_MMAP_THRESHOLD_": str(2**20)},
    "as it is": {},
}
"""The first shows what is in use, the second what the system sees."""


EVEN_SMALL = {"MALLOC_MMAP_THRESHOLD_": str(2**14)}
"""Gives back what is freed of small tensors, too."""


def beyond(step: Callable[[], object], first: int = 2, then: int = 3) -> int:
    """The most memory of some steps beyond that between them, after those that set things up."""
    for _ in range(first):
        step()
    PEAK.write_text("5")  # from here on
    before = resident("VmRSS")
    for _ in range(then):
        step()
    return resident("VmHWM") - before


def peaks(
    module: str,
    case: dict[str, Any],
    contestants: Sequence[Contestant],
    args: Callable[[int], tuple[str, ...]],
    environment: dict[str, str],
) -> list[Entry]:
    """What module prints, as a program with the args of each: its peak, and losses to compare."""
    entries: list[Entry] = []
    theirs = torch.empty(0)
    about = " ".join(map(str, case.values()))
    for i, c in enumerate(tqdm(contestants, about, leave=False)):
        peak, losses = json.loads(cli.run_module(module, *args(i), environment=environment))
        losses = torch.tensor(losses)
        theirs = theirs if i else losses
        right, what = compare(losses, theirs, c.exact)
        entries.append(Entry(case, c.name, c.whose, what, [peak] if right else []))
    return entries


def resident(what: str) -> int:
    """VmRSS, the memory that the process has now, or VmHWM, the most that it had, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))
