"""Trains the report's networks on sharded batches, beside PyTorch's DistributedDataParallel.

    python scripts/ranks.py                                              # on two ranks
    torchrun --standalone --nproc-per-node 4 scripts/ranks.py            # on more

With --seeds, it trains an ensemble, whose members are shared out among the ranks.
"""

import sys
from argparse import Namespace

import cli
import group
from report.experiment import BATCH_SIZE, NETWORKS
from report.sharded import compare
from report.shared_out import ensemble

RANKS = 2
"""On this machine, if torchrun doesn't say otherwise."""


def train(options: Namespace) -> None:
    """Runs everything on this rank."""
    kind = ensemble if options.seeds else compare
    title = "An ensemble" if options.seeds else "Sharded batches, beside DistributedDataParallel"
    with group.joined(on_gpus=True) as (rank, device):
        tables = {title: [kind(network, options, device) for network in NETWORKS]}
    if rank == 0:
        cli.show(tables, options.format)
        report = {"machine": cli.machine(), **tables}
        with cli.all_or_nothing(options.out) as folder:
            cli.write_json(folder / "ranks.json", report)


def main(args: list[str] | None = None) -> None:
    """Runs this rank, or all of them where torchrun has started none."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="epochs of training")
    parser.add_argument("--rounds", type=cli.whole(1), default=20, help="timed turns of each")
    parser.add_argument("--seeds", type=cli.whole(1), help="train so many members of an ensemble")
    cli.add_out(parser)
    options = parser.parse_args(args)
    ranks = group.size() or RANKS
    for what, number in (("the batch", BATCH_SIZE), ("--seeds", options.seeds)):
        if number and number % ranks:
            parser.error(f"expected a number of ranks that divides {what}, {number}; got {ranks}")
    if group.size():
        train(options)
    else:
        group.launch(__file__, RANKS, sys.argv[1:] if args is None else args)


if __name__ == "__main__":
    main()
