"""Trains the report's networks with functional_dl and with PyTorch, and prints its tables.

Table I holds the errors, and what differs from PyTorch in any bit; Table II the times. Figure 1
shows the losses and their difference to PyTorch's, Figure 2 the decision boundaries.
"""

import random
import statistics
import time
from argparse import Namespace
from contextlib import nullcontext
from typing import NamedTuple

import cli
import figures
import torch
from experiment import CONTESTANTS, NETWORKS, POINTS, Contestant, Points, error_rate, train
from parity import same_bits
from torch import Tensor
from tqdm import tqdm

# Ways to train, each by a contestant and in a context. The first three are in all tables.
WAYS = {
    "functional core": ("functional core", torch.inference_mode),
    "compat": ("compat", nullcontext),
    "PyTorch": ("PyTorch", nullcontext),
    "functional core, without inference_mode": ("functional core", nullcontext),
    "compat, in inference_mode": ("compat", torch.inference_mode),
}
SHOWN = tuple(WAYS)[:3]

# The report's own figures: those of the framework that it presents, and of its PyTorch.
REPORTED_ERRORS = {
    ("ReLU", "compat"): "0.021 / 0.013",
    ("ReLU", "PyTorch"): "0.021 / 0.013",
    ("Tanh", "compat"): "0.031 / 0.023",
    ("Tanh", "PyTorch"): "0.031 / 0.023",
}
REPORTED_SECONDS = {
    ("ReLU", "compat"): "2.001 ± 0.006 (1.02×)",
    ("ReLU", "PyTorch"): "2.049 ± 0.012",
    ("Tanh", "compat"): "1.503 ± 0.008 (1.46×)",
    ("Tanh", "PyTorch"): "2.191 ± 0.073",
}


class Run(NamedTuple):
    """A network, its losses in all steps, epochs × batches, and how long they took."""

    contestant: Contestant
    losses: Tensor
    seconds: float


Runs = dict[tuple[str, str], Run]  # by network and way


def run(network: str, way: str, points: Points, options: Namespace) -> Run:
    """Makes a network and trains it."""
    name, context = WAYS[way]
    torch.manual_seed(options.seed)
    contestant = CONTESTANTS[name](network)
    with context():
        start = time.perf_counter()
        losses = train(contestant, points, options.epochs)
        return Run(contestant, losses, time.perf_counter() - start)


def error_table(runs: Runs, training: Points, test: Points) -> list[dict[str, str]]:
    """Table I."""
    rows = []
    for network in NETWORKS:
        theirs = runs[network, "PyTorch"]
        for way in SHOWN:
            ours = runs[network, way]
            steps = zip(ours.losses.flatten(), theirs.losses.flatten(), strict=True)
            losses = [not same_bits(a, b) for a, b in steps]
            tensors = zip(ours.contestant.parameters(), theirs.contestant.parameters(), strict=True)
            parameters = [not same_bits(a, b) for a, b in tensors]
            rows.append(
                {
                    "network": network,
                    "trained by": way,
                    "train error": f"{error_rate(ours.contestant, training):.3f}",
                    "test error": f"{error_rate(ours.contestant, test):.3f}",
                    "the report's": REPORTED_ERRORS.get((network, way), "–"),
                    "losses that differ from PyTorch's": f"{sum(losses):,} of {len(losses):,}",
                    "parameters that do": f"{sum(parameters)} of {len(parameters)}",
                }
            )
    return rows


def time_table(seconds: dict[tuple[str, str], list[float]], epochs: int) -> list[dict[str, str]]:
    """Table II."""
    rows = []
    for (network, way), ours in seconds.items():
        ratio = statistics.median(seconds[network, "PyTorch"]) / statistics.median(ours)
        deviation = f" ± {statistics.stdev(ours):.3f}" if len(ours) > 1 else ""
        rows.append(
            {
                "network": network,
                "trained by": way,
                f"seconds for {epochs} epochs": f"{statistics.mean(ours):.3f}{deviation}",
                "times as fast as PyTorch": f"{ratio:.2f}",
                "the report's, 500 epochs": REPORTED_SECONDS.get((network, way), "–"),
            }
        )
    return rows


def main(args: list[str] | None = None) -> None:
    """Runs everything."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="epochs in a run")
    parser.add_argument("--runs", type=cli.whole(1), default=10, help="timed runs of each way")
    parser.add_argument("--threads", type=cli.whole(1), default=1, help="that torch may use")
    cli.add_out(parser)
    options = parser.parse_args(args)
    cli.use_threads(options.threads)

    torch.manual_seed(options.seed)
    training, test = Points.draw(POINTS), Points.draw(POINTS)
    rng = random.Random(options.seed)
    pairs = [(network, way) for network in NETWORKS for way in WAYS]
    runs: Runs = {}
    seconds: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    with tqdm(total=len(pairs) * (1 + options.runs), unit="run") as progress:
        for i in range(1 + options.runs):
            for network, way in rng.sample(pairs, len(pairs)):
                progress.set_description(f"{network}, {way}")
                done = run(network, way, training, options)
                if i == 0:  # to warm up; what it learns is what all the others learn
                    runs[network, way] = done
                else:
                    seconds[network, way].append(done.seconds)
                progress.update()

    tables = {
        "Table I": error_table(runs, training, test),
        "Table II": time_table(seconds, options.epochs),
    }
    with cli.all_or_nothing(options.out) as folder:
        figures.losses({(n, w): runs[n, w].losses for n in NETWORKS for w in SHOWN}, folder)
        figures.boundaries({n: runs[n, SHOWN[0]].contestant for n in NETWORKS}, test, folder)
        report = {
            "machine": cli.machine(),
            "options": {k: str(v) for k, v in vars(options).items()},
            **tables,
            "seconds": {", ".join(pair): s for pair, s in seconds.items()},
            "losses": {", ".join(pair): r.losses.mean(1).tolist() for pair, r in runs.items()},
        }
        cli.write_json(folder / "compare.json", report)

    cli.show(tables, options.format)
    print(f"\nFigures 1 and 2 and compare.json are in {options.out}.")


if __name__ == "__main__":
    main()
