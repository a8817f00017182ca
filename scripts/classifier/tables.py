"""The table of digits: how well each has learned, what differs from PyTorch, and the time."""

from __future__ import annotations

import torch
from torch import Tensor

from classifier.networks import Network
from classifier.runs import Run
from classifier.trainers import PYTORCH, TWIN
from report.contestant import Contestant


def rows(network: Network, runs: dict[Contestant, Run]) -> list[dict[str, str]]:
    """A row for each contestant."""
    table: list[dict[str, str]] = []
    for contestant, run in runs.items():
        row = {
            "network": str(network),
            "trained by": contestant.name,
            "accuracy": f"{run.accuracies[-1]:.3f}",
            "last loss": f"{run.losses[-1].item():.4f}",
        }
        if contestant is not TWIN:
            row |= {
                "losses unlike the twin's": unlike(run.losses, runs[TWIN].losses),
                "parameters": unlike(run.trainer.parameters(), runs[TWIN].trainer.parameters()),
            }
        if contestant is not PYTORCH:
            row["losses off PyTorch's by"] = f"{off(run.losses, runs[PYTORCH].losses):.0e}"
        row |= {
            "times as fast": f"{runs[PYTORCH].time / run.time:.2f}" if run.seconds else "–",
            "µs a step": f"{1e6 * run.time:,.0f}" if run.seconds else "–",
        }
        table.append(row)
    return table


def unlike(ours: list[Tensor], theirs: list[Tensor]) -> str:
    """How many numbers differ, in any bit."""
    pairs = [*zip(ours, theirs, strict=True)]
    differ = sum(int((a != b).sum()) for a, b in pairs)
    return f"{differ:,} of {sum(a.numel() for a, _ in pairs):,}"


def off(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The largest difference."""
    return (torch.stack(ours) - torch.stack(theirs)).abs().amax().item()
