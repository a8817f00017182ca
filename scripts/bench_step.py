"""The report's step, in every way that a user would think of."""

from argparse import Namespace
from functools import partial

from contestants import WAYS, begin
from experiment import NETWORKS
from race import Contestant, Entry, contest

THREADS = 1
EPOCHS = 10  # in a turn


def measure(options: Namespace) -> list[Entry]:
    """Each network is a case."""
    entries: list[Entry] = []
    for network in NETWORKS:
        ways = {
            name: Contestant(partial(begin, way, network, EPOCHS), way.exact)
            for name, way in WAYS.items()
        }
        entries += contest({"network": network}, ways, EPOCHS * 10, options.rounds or 50, checked=3)
    return entries
