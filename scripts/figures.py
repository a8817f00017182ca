"""The figures of compare.py and onnx_train.py, as PNG and SVG."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from cycler import cycler
from experiment import Contestant, Points
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "functional_dl"  # the same file for the same figure

# Okabe and Ito's colours, which colour-blind readers tell apart; a colour has one meaning.
INSIDE, OUTSIDE, WRONG = "#0072B2", "#E69F00", "#D55E00"
OURS, PYTORCH, PEER = "#0072B2", "#E69F00", "#999999"
LINES = cycler(color=["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"])

# Wide and pale below, thin and dark above, so that lines that coincide are all seen.
STYLES = {
    "PyTorch": {"color": "#f0a860", "linewidth": 6},
    "compat": {"color": "#4477aa", "linewidth": 2.5},
    "functional core": {"color": "black", "linewidth": 1, "linestyle": (0, (4, 4))},
}
CLASSES = ("#4477aa", "#ee6677")


def losses(losses: dict[tuple[str, str], Tensor], folder: Path) -> None:
    """Figure 1: the loss in each epoch by network, and its difference to PyTorch's."""
    networks = list(dict.fromkeys(network for network, _ in losses))
    figure, axes = plt.subplots(
        2, len(networks), sharex=True, squeeze=False, figsize=(10, 6), height_ratios=(3, 1)
    )
    for column, network in enumerate(networks):
        above, below = axes[:, column]
        theirs = losses[network, "PyTorch"]
        epochs = range(1, 1 + len(theirs))
        differences = []
        for who, style in STYLES.items():
            ours = losses[network, who]
            above.plot(epochs, ours.mean(1), label=who, **style)
            if who != "PyTorch":
                differences.append((ours - theirs).abs().amax(1))
                below.plot(epochs, differences[-1], label=who, **style)
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
    save(figure, folder / "figure-1")


def boundaries(networks: dict[str, Contestant], points: Points, folder: Path) -> None:
    """Figure 2: where each network draws the line, over the points, the wrong ones marked."""
    figure, axes = plt.subplots(1, len(networks), squeeze=False, figsize=(10, 5))
    ticks = torch.linspace(0, 1, 201)
    grid = torch.cartesian_prod(ticks, ticks)
    classes = points.targets.argmax(1)
    for axis, (name, network) in zip(axes[0], networks.items(), strict=True):
        scores = network.predict(grid)
        inside = (scores[:, 1] - scores[:, 0]).view(201, 201).T
        axis.contourf(ticks, ticks, inside, levels=[-1e9, 0, 1e9], colors=CLASSES, alpha=0.2)
        for label, color in enumerate(CLASSES):
            axis.scatter(*points.inputs[classes == label].T, s=6, color=color)
        wrong = network.predict(points.inputs).argmax(1) != classes
        axis.scatter(
            *points.inputs[wrong].T,
            s=60,
            marker="o",
            facecolors="none",
            edgecolors="black",
            label=f"wrong: {wrong.sum()} of {len(wrong):,}",
        )
        axis.set(title=name, aspect="equal", xlim=(0, 1), ylim=(0, 1))
        axis.legend(loc="upper right")
    save(figure, folder / "figure-2")


def apart(differences: dict[str, dict[str, Any]], folder: Path) -> None:
    """How far losses are from PyTorch's, relative to them, step by step, for each network."""
    figure, axes = plt.subplots(1, len(differences), sharey=True, squeeze=False, figsize=(10, 4))
    for axis, (network, lines) in zip(axes[0], differences.items(), strict=True):
        for who, off in lines.items():
            # The largest of each hundredth, since a difference of 0 has no place on the axis.
            parts = [part for part in np.array_split(off, 100) if len(part)]
            steps = np.linspace(1, len(off), len(parts))
            axis.plot(steps, [part.max() for part in parts], label=who)
        axis.set(title=network, xlabel="step", yscale="log")
        axis.legend()
    axes[0][0].set_ylabel("|loss − PyTorch's| / PyTorch's")
    save(figure, folder / "onnx")


def save(figure: Figure, path: Path) -> None:
    """As PNG and SVG."""
    figure.tight_layout()
    figure.savefig(path.with_suffix(".png"), dpi=150)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    plt.close(figure)
