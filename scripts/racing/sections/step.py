"""The report's step, in every way that a user would think of."""

from argparse import Namespace

from racing import charts
from racing.contestants import CONTESTANTS, on_report
from racing.race import Entry, contest, rows
from racing.section import Section
from report.experiment import NETWORKS

EPOCHS = 10  # in a turn


def measure(options: Namespace) -> list[Entry]:
    """Each network is a case."""
    entries: list[Entry] = []
    for network in NETWORKS:
        contestants = [on_report(c, network, EPOCHS) for c in CONTESTANTS]
        case = {"network": str(network)}
        entries += contest(case, contestants, EPOCHS * 10, options.rounds or 50, checked=3)
    return entries


SECTION = Section("step", "The report's step", 1, measure, rows, charts.bars)
