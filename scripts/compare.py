"""Trains the report's networks with functional_dl and with PyTorch, and prints its tables.

Table I holds the errors, and what differs from PyTorch in any bit; Table II the times. Figure 1
shows the losses and their difference to PyTorch's, Figure 2 the decision boundaries.
"""

import torch

import cli
import figures
from report import figure_1, figure_2
from report.experiment import NETWORKS, POINTS, Points
from report.runs import run_all
from report.tables import error_table, time_table
from report.trainers import CORE


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
    runs = run_all(training, options.epochs, options.runs, options.seed)
    first = {pair: of_pair[0] for pair, of_pair in runs.items()}  # all others learn the same
    seconds = {pair: [r.seconds for r in of_pair[1:]] for pair, of_pair in runs.items()}
    tables = {
        "Table I": error_table(first, training, test),
        "Table II": time_table(seconds, options.epochs),
    }
    cli.show(tables, options.format)

    names = {(n, c): f"{n}, {c.name}" for n, c in runs}
    report = {
        "machine": cli.machine(),
        "options": {k: str(v) for k, v in vars(options).items()},
        **tables,
        "seconds": {names[pair]: s for pair, s in seconds.items()},
        "losses": {names[pair]: r.losses.mean(1).tolist() for pair, r in first.items()},
    }
    with cli.all_or_nothing(options.out) as folder:
        figures.save(figure_1.draw(first), folder / "figure-1")
        trained = {network: first[network, CORE].trainer for network in NETWORKS}
        figures.save(figure_2.draw(trained, test), folder / "figure-2")
        cli.write_json(folder / "compare.json", report)
    print(f"\nFigures 1 and 2 and compare.json are in {options.out}.")


if __name__ == "__main__":
    main()
