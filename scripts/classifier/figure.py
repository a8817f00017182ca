"""The figure of digits: how the networks learn, what they confuse, and what they look for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

import figures
from classifier.data import BATCH_SIZE, Digits
from classifier.networks import CNN, MLP, Network
from classifier.runs import Run
from classifier.trainers import CORE, PYTORCH
from report.contestant import Contestant

STYLES: dict[Contestant, dict[str, Any]] = {
    PYTORCH: {"color": figures.PYTORCH, "linewidth": 4},
    CORE: {"color": figures.OURS, "linewidth": 1},
}
SHOWN = 24  # digits told wrongly, at most


def draw(runs: dict[Network, dict[Contestant, Run]], test: Digits) -> Figure:
    """Losses and accuracies of both networks; the CNN's confusions, filters and mistakes."""
    figure = plt.figure(figsize=(12, 9))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.1)).flat
    axes = above.subplots(1, 4)
    learned(axes[:2], MLP, runs[MLP])
    learned(axes[2:], CNN, runs[CNN])
    scores = runs[CNN][CORE].trainer.predict(test.images)
    left, right = below.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.1)).flat
    confusions(left.subplots(), scores.argmax(1), test.labels)
    upper, lower = right.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.6)).flat
    filters(upper, runs[CNN][CORE].trainer.parameters()[0])
    mistakes(lower, scores.argmax(1), test)
    return figure


def learned(axes: Sequence[Axes], network: Network, runs: dict[Contestant, Run]) -> None:
    """The losses and the accuracies by epoch."""
    for contestant, style in STYLES.items():
        run = runs[contestant]
        epochs = range(1, 1 + len(run.accuracies))
        losses = torch.stack(run.losses).view(len(run.accuracies), -1).mean(1).tolist()
        axes[0].plot(epochs, losses, label=contestant.name, **style)
        axes[1].plot(epochs, run.accuracies, label=contestant.name, **style)
    axes[0].set(title=network, xlabel="epoch", ylabel=f"training loss of {BATCH_SIZE} digits")
    axes[0].set_yscale("log")
    axes[1].set(title=network, xlabel="epoch", ylabel="test accuracy")
    axes[0].legend()


def confusions(axes: Axes, told: Tensor, labels: Tensor) -> None:
    """How often each digit is told as which; those that are right stand in grey."""
    counts = torch.zeros(10, 10, dtype=torch.int64)
    counts.index_put_((labels, told), torch.ones_like(labels), accumulate=True)
    wrong = counts.masked_fill(torch.eye(10, dtype=torch.bool), 0)
    axes.imshow(wrong.numpy(), cmap="Purples", vmin=0, vmax=max(3, int(wrong.max())))
    for i in range(10):
        for j in range(10):
            if counts[i, j]:
                color = "grey" if i == j else figures.WRONG
                axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=color)
    axes.set(title="CNN: test digits", xlabel="told as", ylabel="digit")
    axes.set(xticks=range(10), yticks=range(10))


def filters(figure: SubFigure, weight: Tensor) -> None:
    """The windows of the first convolution."""
    figure.suptitle("CNN: the first filters (green: positive)")
    largest = weight.abs().amax().item()
    for axes, window in zip(figure.subplots(2, 8).flat, weight[:, 0], strict=True):
        axes.imshow(window.numpy(), cmap=figures.SCALE, vmin=-largest, vmax=largest)
        axes.set_axis_off()


def mistakes(figure: SubFigure, told: Tensor, test: Digits) -> None:
    """The digits that are told wrongly."""
    wrong = (told != test.labels).nonzero().flatten().tolist()
    figure.suptitle(f"CNN: told wrongly, {len(wrong)} of {len(told)} (as what → what it is)")
    for n, axes in enumerate(figure.subplots(3, SHOWN // 3).flat):
        axes.set_axis_off()
        if n < len(wrong):
            i = wrong[n]
            axes.imshow(test.images[i].view(8, 8).numpy(), cmap="gray_r")
            axes.set_title(f"{told[i]} → {test.labels[i]}", fontsize=9)
