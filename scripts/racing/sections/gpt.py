"""A GPT of characters, trained with AdamW in every way that a user would think of."""

from argparse import Namespace

from racing import charts
from racing.gpt_contestants import PLANS, QUICK, SLOW, STEPS, case_of, on_text
from racing.race import Entry, contest, rows
from racing.section import Section


def measure(options: Namespace) -> list[Entry]:
    """Each size and style is a case."""
    entries: list[Entry] = []
    for plan in PLANS:
        contestants = [on_text(c, plan) for c in (*QUICK, *SLOW)]
        entries += contest(case_of(plan), contestants, STEPS, options.rounds or 25)
    return entries


SECTION = Section("gpt", "A GPT of characters, AdamW", 1, measure, rows, charts.bars)
