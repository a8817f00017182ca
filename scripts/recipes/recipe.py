"""What the recipes share: the way to the other scripts, a beginning and an end, and the digits."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent))  # which is why a recipe imports this first

import cli
import figures
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor


def begin(description: str | None, args: list[str] | None) -> Namespace:
    """The options of a recipe of that description; the seed is set."""
    parser = cli.parser(str(description).splitlines()[0])
    cli.add_out(parser)
    options = parser.parse_args(args)
    torch.manual_seed(options.seed)
    return options


def panels(*labels: tuple[str, str], **same: Any) -> tuple[Figure, list[Any]]:
    """A figure, and a panel for each pair of labels, of x and of y; what is the same in all."""
    figure, axes = plt.subplots(1, len(labels), squeeze=False, figsize=(10, 4))
    for axis, (x, y) in zip(axes.flat, labels, strict=True):
        axis.set(xlabel=x, ylabel=y, **same)
    return figure, list(axes.flat)


def end(name: str, figure: Figure, rows: Sequence[tuple[str, ...]], options: Namespace) -> None:
    """Writes the figure, and prints the rows as a table; the first is its head."""
    for axis in figure.axes:
        if axis.get_legend_handles_labels()[0]:
            axis.legend()
    with cli.all_or_nothing(options.out) as folder:
        figures.save(figure, folder / name)
    table = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    cli.show({name: table}, options.format)
    print(f"\nThe figure is in {options.out}.")


def digits() -> tuple[Tensor, Tensor]:
    """1,797 written digits, of 64 pixels between 0 and 1, and which digit each is."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        what = "digits: scikit-learn is not installed; pip install 'functional_dl[scripts]'"
        raise SystemExit(what) from error
    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)
