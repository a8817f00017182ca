"""Figure 2: where each network draws the line, over the points, the wrong ones marked."""

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import figures
from report.experiment import Network, Points
from report.trainers import Trainer

CLASSES = {"outside": figures.OUTSIDE, "inside": figures.INSIDE}  # in the order of the targets


def draw(trained: dict[Network, Trainer], points: Points) -> Figure:
    """The figure, with a panel for each network."""
    figure, axes = plt.subplots(1, len(trained), squeeze=False, figsize=(10, 6))
    ticks = torch.linspace(0, 1, 201)
    grid = torch.cartesian_prod(ticks, ticks)
    classes = points.targets.argmax(1)
    for axis, (network, trainer) in zip(axes[0], trained.items(), strict=True):
        scores = trainer.predict(grid)
        inside = (scores[:, 1] - scores[:, 0]).view(201, 201).T
        colors = [*CLASSES.values()]
        axis.contourf(ticks, ticks, inside, levels=[-1e9, 0, 1e9], colors=colors, alpha=0.2)
        for label, (name, color) in enumerate(CLASSES.items()):
            axis.scatter(*points.inputs[classes == label].T, s=6, color=color, label=name)
        wrong = trainer.predict(points.inputs).argmax(1) != classes
        axis.scatter(
            *points.inputs[wrong].T,
            s=60,
            marker="o",
            facecolors="none",
            edgecolors=figures.WRONG,
            label=f"wrong: {wrong.sum()} of {len(wrong):,}",
        )
        axis.set(title=network, xlabel="x₁", ylabel="x₂")
        axis.set(aspect="equal", xlim=(0, 1), ylim=(0, 1))
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    return figure
