"""Figure 1: the loss in each epoch by network, and its difference to PyTorch's."""

from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import figures
from report.experiment import NETWORKS
from report.runs import Pair, Run
from report.trainers import COMPAT, CORE, PYTORCH

# Wide and pale below, thin and dark above, so that lines that coincide are all seen.
STYLES: dict[Any, dict[str, Any]] = {
    PYTORCH: {"color": figures.PYTORCH, "linewidth": 6, "alpha": 0.6},
    CORE: {"color": figures.OURS, "linewidth": 2.5},
    COMPAT: {"color": "black", "linewidth": 1, "linestyle": (0, (4, 4))},
}


def draw(runs: dict[Pair, Run]) -> Figure:
    """The figure, of everybody in STYLES."""
    figure, axes = plt.subplots(
        2, len(NETWORKS), sharex=True, squeeze=False, figsize=(10, 6), height_ratios=(3, 1)
    )
    for (above, below), network in zip(axes.T, NETWORKS, strict=True):
        theirs = runs[network, PYTORCH].losses
        epochs = range(1, 1 + len(theirs))
        differences = []
        for contestant, style in STYLES.items():
            ours = runs[network, contestant].losses
            above.plot(epochs, ours.mean(1), label=contestant.name, **style)
            if contestant is not PYTORCH:
                differences.append((ours - theirs).abs().amax(1))
                below.plot(epochs, differences[-1], label=contestant.name, **style)
        if not torch.stack(differences).any():
            below.text(
                0.5,
                0.7,
                f"exactly 0 in all {theirs.numel():,} steps",
                ha="center",
                transform=below.transAxes,
            )
            below.set_ylim(-1, 1)
            below.set_yticks([0])
        above.set(title=network, ylabel="training loss", yscale="log")
        above.legend()
        below.set(xlabel="epoch", ylabel="|difference\nto PyTorch|")
    return figure
