"""The digits' two networks, trained with Adam in every way that a user would think of."""

from argparse import Namespace

from classifier.networks import CNN, MLP
from racing import charts
from racing.digits_contestants import QUICK, SLOW, STEPS, on_digits
from racing.race import Entry, contest, rows
from racing.section import Section


def measure(options: Namespace) -> list[Entry]:
    """Each network is a case."""
    entries: list[Entry] = []
    for network in (MLP, CNN):
        contestants = [on_digits(c, network) for c in (*QUICK, *SLOW)]
        case = {"network": str(network)}
        entries += contest(case, contestants, STEPS, options.rounds or 50, checked=3)
    return entries


SECTION = Section("digits", "Digits, Adam, batch 64", 1, measure, rows, charts.bars)
