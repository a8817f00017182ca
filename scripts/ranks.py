"""Trains the report's networks on sharded batches, beside PyTorch's DistributedDataParallel.

    python scripts/ranks.py                                              # on two ranks
    torchrun --standalone --nproc-per-node 4 scripts/ranks.py            # on more

With --seeds, it trains an ensemble, whose members are shared out among the ranks.
"""

import logging
import os
import signal
import sys

if "TORCHELASTIC_RUN_ID" in os.environ:  # an interrupted rank ends in silence: launch() reports it
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from argparse import Namespace
from datetime import timedelta
from importlib import import_module

import torch
from torch import distributed as dist
from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException

import cli
from report.experiment import BATCH_SIZE, NETWORKS
from report.sharded import compare
from report.shared_out import ensemble

RANKS = 2
"""On this machine, if torchrun doesn't say otherwise."""

PATIENCE = timedelta(seconds=30)
"""How long a rank waits for the others before it gives up."""


def launch(args: list[str]) -> None:
    """Runs this script with these arguments on RANKS ranks, as torchrun does."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.WARNING)  # torchrun warns of each signal that it passes on
    try:
        run.main(["--standalone", f"--nproc-per-node={RANKS}", __file__, *args])
    except SignalException as stop:
        if stop.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise


def train(options: Namespace) -> None:
    """Runs everything on this rank."""
    gpus = torch.cuda.is_available()
    local = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    torch.set_num_threads(1)
    # Imported while there is a group, as DDP does it, its functions keep that one as a default;
    # the group's threads then outlive it, and one that frees a tensor at exit aborts the process.
    import_module("torch.distributed.nn")
    dist.init_process_group("nccl" if gpus else "gloo", timeout=PATIENCE)
    cli.pin(1, first=local)  # this thread, not those of the group, which began before
    kind = ensemble if options.seeds else compare
    title = "An ensemble" if options.seeds else "Sharded batches, beside DistributedDataParallel"
    tables = {title: [kind(network, options, device) for network in NETWORKS]}
    rank = dist.get_rank()
    dist.barrier()  # nobody leaves while another is still at the last mean
    dist.destroy_process_group()
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
    launched = dist.is_torchelastic_launched()
    ranks = int(os.environ["WORLD_SIZE"]) if launched else RANKS
    for what, number in (("the batch", BATCH_SIZE), ("--seeds", options.seeds)):
        if number and number % ranks:
            parser.error(f"expected a number of ranks that divides {what}, {number}; got {ranks}")
    if launched:
        train(options)
    else:
        launch(sys.argv[1:] if args is None else args)


if __name__ == "__main__":
    main()
