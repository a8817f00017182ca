"""How much memory a process uses, and has used at most, as Linux tells it."""

from pathlib import Path

PEAK = Path("/proc/self/clear_refs")
"""A "5" written here has Linux forget how much memory the process had at most."""

MALLOCS = {
    "that gives back what is freed": {"MALLOC_MMAP_THRESHOLD_": str(2**20)},
    "as it is": {},
}
"""The first shows what is in use, the second what the system sees."""


def resident(what: str) -> int:
    """VmRSS, the memory that the process has now, or VmHWM, the most that it had, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))
