"""The figure of gpt: the losses of all, and their difference."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

import figures
from language.plan import Plan
from language.runs import STEPS_A_TURN, Run
from racing.charts import COLORS
from report.contestant import Contestant

# Wide and pale below, thin and dark above, so that lines that coincide are both seen.
STYLES: tuple[dict[str, Any], ...] = ({"linewidth": 5, "alpha": 0.6}, {"linewidth": 1.5})


def draw(plan: Plan, runs: dict[Contestant, Run]) -> Figure:
    """Means of turns above, each step's difference below."""
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 6), height_ratios=(3, 2))
    losses = {c: torch.stack(run.losses) for c, run in runs.items()}
    steps = torch.arange(1.0, 1 + plan.steps)
    for (c, of_run), style in zip(losses.items(), STYLES, strict=True):
        above.plot(means(steps), means(of_run), label=c.name, color=COLORS[c.whose], **style)
    theirs, ours = losses.values()
    below.plot(steps, (ours - theirs).abs(), ".", markersize=2, color=figures.OURS)
    below.set_yscale("symlog", linthresh=torch.finfo(torch.float32).eps)
    style = f"{plan.style}, {plan.layers} × {plan.width}, {plan.batch} × {plan.block} characters"
    above.set(title=style, ylabel=f"training loss, means of {STEPS_A_TURN} steps")
    above.legend()
    below.set(xlabel="step", ylabel="|difference of losses|")
    return figure


def means(values: Tensor) -> Tensor:
    """Those of turns."""
    return torch.stack([turn.mean() for turn in values.split(STEPS_A_TURN)])
