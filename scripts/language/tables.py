"""The table of gpt: how well each has learned, how far they are apart, time and memory."""

from __future__ import annotations

import torch

from language import text
from language.plan import Plan
from language.runs import Run
from language.text import Text
from report.contestant import Contestant

FIRST, LAST = 200, 100
"""In how many steps losses stay near each other; how many a mean is of, since one says little."""


def rows(
    plan: Plan, of_text: Text, runs: dict[Contestant, Run], memory: dict[Contestant, float]
) -> list[dict[str, str]]:
    """A row for each contestant, in relation to the first."""
    first = next(iter(runs))
    table: list[dict[str, str]] = []
    for c, run in runs.items():
        losses = torch.stack(run.losses)
        bits = text.bits(run.trainer.predict, of_text.held_out, plan.block)
        off = (losses - torch.stack(runs[first].losses)).abs()
        table.append(
            {
                "trained by": c.name,
                f"last {min(LAST, plan.steps)} losses": f"{losses[-LAST:].mean().item():.4f}",
                "bits per held-out character": f"{bits:.3f}",
                f"off in {min(FIRST, plan.steps)} steps": f"{off[:FIRST].amax().item():.0e}",
                "in all": f"{off.amax().item():.0e}",
                "seconds": f"{sum(run.seconds):,.0f}",
                "ms a step": f"{1e3 * run.time:.1f}",
                "times as fast": f"{runs[first].time / run.time:.2f}",
                "MiB of a step": f"{memory[c] / 2**20:.1f}" if c in memory else "–",
            }
        )
    return table
