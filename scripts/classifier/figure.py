"""The figure of digits: how the networks learn, what they confuse, and what they look for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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
ACROSS = 8  # digits told wrongly, in each of three rows at most


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
    upper, lower = right.subplots(2, 1, height_ratios=(1, 2))
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


def filters(axes: Axes, weight: Tensor) -> None:
    """The windows of the first convolution."""
    largest = weight.abs().amax().item()
    axes.imshow(tiles(weight[:, 0], 8), cmap=figures.SCALE, vmin=-largest, vmax=largest)
    axes.set(title="CNN: the first filters (green: positive)")
    axes.set_axis_off()


def mistakes(axes: Axes, told: Tensor, test: Digits) -> None:
    """The first digits that are told wrongly."""
    wrong = (told != test.labels).nonzero().flatten()
    shown = wrong[: 3 * ACROSS]
    axes.imshow(tiles(test.images[shown].view(-1, 8, 8), ACROSS, above=3), cmap="gray_r")
    for n, i in enumerate(shown.tolist()):
        row, column = divmod(n, ACROSS)
        said = f"{told[i]}, not {test.labels[i]}"
        axes.text(9 * column + 3.5, 11 * row + 1, said, ha="center", fontsize=8)
    axes.set(title=f"CNN: told wrongly, {len(wrong)} of {len(told)} digits")
    axes.set_axis_off()


def tiles(images: Tensor, across: int, above: int = 0) -> Any:
    """Images side by side, with a gap of a pixel, and so many above them."""
    gaps = torch.nn.functional.pad(images, (0, 1, above, 0 if above else 1), value=torch.nan)
    rows = gaps.split(across) if len(gaps) else [torch.full((1, 1, 1), torch.nan)]
    width = across * gaps.shape[2]
    strips = [torch.cat([*row], 1) for row in rows]
    full = [torch.nn.functional.pad(s, (0, width - s.shape[1]), value=torch.nan) for s in strips]
    return torch.cat(full).numpy(force=True)
