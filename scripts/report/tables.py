"""Tables I and II, beside the report's own figures."""

import statistics

from proof.parity import same_bits
from report.experiment import NETWORKS, RELU, TANH, Points
from report.runs import Pair, Run
from report.trainers import COMPAT, CONTESTANTS, PYTORCH, error_rate

# Those of the framework that the report presents, and of its PyTorch.
REPORTED_ERRORS = {
    (RELU, COMPAT): "0.021 / 0.013",
    (RELU, PYTORCH): "0.021 / 0.013",
    (TANH, COMPAT): "0.031 / 0.023",
    (TANH, PYTORCH): "0.031 / 0.023",
}
REPORTED_SECONDS = {
    (RELU, COMPAT): "2.001 ± 0.006 (1.02×)",
    (RELU, PYTORCH): "2.049 ± 0.012",
    (TANH, COMPAT): "1.503 ± 0.008 (1.46×)",
    (TANH, PYTORCH): "2.191 ± 0.073",
}


def error_table(runs: dict[Pair, Run], training: Points, test: Points) -> list[dict[str, str]]:
    """Table I: the errors, and what differs from PyTorch in any bit."""
    rows = []
    for network in NETWORKS:
        theirs = runs[network, PYTORCH]
        for contestant in CONTESTANTS:
            ours = runs[network, contestant]
            steps = zip(ours.losses.flatten(), theirs.losses.flatten(), strict=True)
            losses = [not same_bits(a, b) for a, b in steps]
            tensors = zip(ours.trainer.parameters(), theirs.trainer.parameters(), strict=True)
            parameters = [not same_bits(a, b) for a, b in tensors]
            rows.append(
                {
                    "network": str(network),
                    "trained by": contestant.name,
                    "train error": f"{error_rate(ours.trainer, training):.3f}",
                    "test error": f"{error_rate(ours.trainer, test):.3f}",
                    "the report's": REPORTED_ERRORS.get((network, contestant), "–"),
                    "losses that differ from PyTorch's": f"{sum(losses):,} of {len(losses):,}",
                    "parameters that do": f"{sum(parameters)} of {len(parameters)}",
                }
            )
    return rows


def time_table(seconds: dict[Pair, list[float]], epochs: int) -> list[dict[str, str]]:
    """Table II: the times."""
    rows = []
    for (network, contestant), ours in seconds.items():
        ratio = statistics.median(seconds[network, PYTORCH]) / statistics.median(ours)
        deviation = f" ± {statistics.stdev(ours):.3f}" if len(ours) > 1 else ""
        rows.append(
            {
                "network": str(network),
                "trained by": contestant.name,
                f"seconds for {epochs} epochs": f"{statistics.mean(ours):.3f}{deviation}",
                "times as fast as PyTorch": f"{ratio:.2f}",
                "the report's, 500 epochs": REPORTED_SECONDS.get((network, contestant), "–"),
            }
        )
    return rows
