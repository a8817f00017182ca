"""The tables and the figure of onnx_train: training in ONNX Runtime beside PyTorch's."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import figures
from exported.reference import Arrays, Reference
from exported.runtime import Training, load

STEPS_A_TURN = 200


def error_rate(file: Path, params: Arrays, points: tuple[Any, Any]) -> float:
    """The share of points whose predicted class is wrong."""
    (outputs,) = load(file, 1).run(None, params | {"inputs": points[0]})
    return float((np.asarray(outputs).argmax(1) != points[1].argmax(1)).mean())


def agreement(step: Path, losses: Any, theirs: Reference) -> dict[str, str]:
    """How far from PyTorch the runtime is, after a step and in the end."""
    after_a_step: list[float] = []
    for before, after in theirs.probes:
        once = Training(step, before, theirs.feeds[:1], 1)
        once.run(1)
        after_a_step += [np.abs(once.params[k] - p).max() for k, p in after.items()]
    off, nudged = distances(losses, theirs)
    return {
        "network": theirs.network,
        f"parameters, one step from {len(theirs.probes)} points": f"{max(after_a_step):.0e}",
        "losses in 20 epochs": f"{off[:200].max():.0e}",
        "last loss": f"{off[-1]:.0e}",
        "PyTorch's own, a weight one unit up": f"{nudged[-1]:.0e}",
    }


def result(
    network: str,
    who: str,
    losses: Any,
    errors: dict[str, float],
    seconds: list[float],
    eager: list[float],
) -> dict[str, str]:
    """How well a network has been trained, and how fast."""
    return {
        "network": network,
        "trained by": who,
        "loss": f"{losses[-1]:.4f}",
        **{f"{k} error": f"{e:.3f}" for k, e in errors.items()},
        "steps per second": f"{STEPS_A_TURN / statistics.median(seconds):,.0f}",
        "times as fast": f"{statistics.median(eager) / statistics.median(seconds):.2f}",
    }


def distances(losses: Any, theirs: Reference) -> tuple[Any, Any]:
    """How far from PyTorch's losses ours are, relatively, and its own with a weight moved."""
    return np.abs(losses / theirs.losses - 1), np.abs(theirs.nudged / theirs.losses - 1)


def draw(losses: list[tuple[Any, Reference]]) -> Figure:
    """The distances step by step, with a panel for each network."""
    figure, axes = plt.subplots(1, len(losses), sharey=True, squeeze=False, figsize=(10, 4))
    styles = (
        {"label": "ONNX Runtime", "color": figures.OURS},
        {"label": "PyTorch, a weight one unit up", "color": figures.PYTORCH},
    )
    for axis, (ours, theirs) in zip(axes[0], losses, strict=True):
        for off, style in zip(distances(ours, theirs), styles, strict=True):
            # The largest of each hundredth, since a difference of 0 has no place on the axis.
            parts = [part for part in np.array_split(off, 100) if len(part)]
            steps = np.linspace(1, len(off), len(parts))
            axis.plot(steps, [part.max() for part in parts], **style)
        axis.set(title=theirs.network, xlabel="step", yscale="log")
        axis.legend()
    axes[0][0].set_ylabel("|loss − PyTorch's| / PyTorch's")
    return figure
