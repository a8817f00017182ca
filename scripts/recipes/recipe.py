"""What the recipes share: their options, their data, and where tables and figures go."""

import math
import sys
from argparse import Namespace
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))  # so recipes import this before other scripts

import torch
from matplotlib.figure import Figure
from torch import Tensor

import cli
import figures
import functional_dl as fdl


def begin(description: str | None, args: list[str] | None) -> Namespace:
    """Reads the options, and sets the seed and the number of threads.

    Args:
        description: A recipe's docstring, whose first line `--help` shows.
        args: The command line, or None for that of this process.
    """
    parser = cli.parser(str(description).splitlines()[0])
    cli.add_out(parser)
    parser.add_argument(
        "--threads", type=cli.whole(1), default=1, help="threads of torch, which change roundings"
    )
    options = parser.parse_args(args)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    return options


def end(name: str, figure: Figure, rows: list[dict[str, str]], options: Namespace) -> None:
    """Prints the rows as a table, and saves them and the figure."""
    cli.show({name: rows}, options.format)
    with cli.all_or_nothing(options.out) as folder:
        figures.save(figure, folder / name)
        cli.write_json(folder / f"{name}.json", {"machine": cli.machine(), "rows": rows})
    print(f"\nThe figure and {name}.json are in {options.out}.")


def disk(n: int) -> tuple[Tensor, Tensor]:
    """Draws n points in the unit square, and whether each lies in a disk of half its area.

    Returns:
        Points, n×2, and targets, n×2: (1, 0) outside the disk and (0, 1) inside.
    """
    points = torch.rand(n, 2)
    inside = (points - 0.5).square().sum(1) < 1 / (2 * math.pi)
    return points, torch.eye(2)[inside.long()]


def flatten(tree: fdl.Params) -> Tensor:
    """All leaves of a tree of params or gradients, as one vector."""
    return torch.cat([leaf.flatten() for leaf in fdl.tree_leaves(tree)])
