"""A group of ranks, each of which runs the same script, as torchrun starts them."""

import logging
import os
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module

import torch
from torch import distributed as dist
from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException

import cli

PATIENCE = timedelta(seconds=30)
"""How long a rank waits for the others before it gives up."""


def size() -> int | None:
    """How many ranks torchrun has started, this one among them, if it has."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else None


def launch(script: str, ranks: int, args: Sequence[str]) -> None:
    """Runs the script with these arguments on so many ranks, as torchrun does."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.WARNING)  # torchrun warns of each signal that it passes on
    try:
        run.main(["--standalone", f"--nproc-per-node={ranks}", script, *args])
    except SignalException as stop:
        if stop.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise


@contextmanager
def joined(on_gpus: bool) -> Generator[tuple[int, torch.device]]:
    """This process as one of the group, with one thread: its rank, and its device.

    Args:
        on_gpus: Whether each is to have a GPU, if there are any.
    """
    local = int(os.environ["LOCAL_RANK"])
    gpus = on_gpus and torch.cuda.is_available()
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    torch.set_num_threads(1)
    # Imported while there is a group, as DDP does it, its functions keep that one as a default;
    # the group's threads then outlive it, and one that frees a tensor at exit aborts the process.
    import_module("torch.distributed.nn")
    dist.init_process_group("nccl" if gpus else "gloo", timeout=PATIENCE)
    cli.pin(1, first=local)  # this thread, not those of the group, which began before
    yield dist.get_rank(), device
    dist.barrier()  # nobody leaves while another is still at the last mean
    dist.destroy_process_group()
