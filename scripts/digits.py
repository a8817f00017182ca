"""Trains two classifiers of handwritten digits, in each style and with PyTorch, side by side.

The table holds the accuracy, what differs from PyTorch's in any bit, and the time; the figure shows
how the networks learn and what they confuse. With --checkpoint, the functional core alone trains
one of them, and whatever kills it, the next call goes on to the same bits.
"""

from functools import partial
from pathlib import Path

import cli
import figures
from classifier import checkpoint, figure, tables
from classifier.data import split
from classifier.networks import CNN, MLP, NETWORKS, Network
from classifier.runs import accuracy, run_all
from classifier.trainers import CONTESTANTS


def main(args: list[str] | None = None) -> None:
    """Runs everything."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=cli.whole(1), default=30, help="of training")
    parser.add_argument("--threads", type=cli.whole(1), default=1, help="that torch may use")
    parser.add_argument(
        "--checkpoint", metavar="FILE", type=Path, help="train the core alone, from there on"
    )
    kinds = {"mlp": MLP, "cnn": CNN}
    parser.add_argument("--network", choices=kinds, default="mlp", help="with --checkpoint")
    cli.add_out(parser)
    options = parser.parse_args(args)
    cli.use_threads(options.threads)
    if options.checkpoint:
        train_on(kinds[options.network], options.epochs, options.seed, options.checkpoint)
        return

    runs = {}
    for network in NETWORKS:
        training, test = split(network.shape, options.seed)
        # What is compiled has other bits, and can't be told to do without oneDNN.
        contestants = [c for c in CONTESTANTS if c.exact or network.onednn]
        runs[network] = run_all(network, training, test, options.epochs, options.seed, contestants)
    rows = [row for network, of_network in runs.items() for row in tables.rows(network, of_network)]
    cli.show({"Digits": rows}, options.format)
    with cli.all_or_nothing(options.out) as folder:
        figures.save(figure.draw(runs, split(CNN.shape, options.seed)[1]), folder / "digits")
        report = {"machine": cli.machine(), "rows": rows}
        cli.write_json(folder / "digits.json", report)
    print(f"\nThe figure and digits.json are in {options.out}.")


def train_on(network: Network, epochs: int, seed: int, file: Path) -> None:
    """Trains from the checkpoint on, and says what came of it."""
    training, test = split(network.shape, seed)
    try:
        params, losses = checkpoint.train(network, training, epochs, seed, file)
    except (OSError, ValueError) as error:
        raise SystemExit(f"digits: {error}") from error
    right = accuracy(partial(network.core().apply, params), test)
    print(f"{network}: last loss {losses[-1].item():.4f}, accuracy {right:.3f}; all is in {file}.")


if __name__ == "__main__":
    main()
