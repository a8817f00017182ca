"""How much memory a process uses, and has used at most, as Linux tells it."""

from collections.abc import Callable
from pathlib import Path

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


def resident(what: str) -> int:
    """VmRSS, the memory that the process has now, or VmHWM, the most that it had, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))
