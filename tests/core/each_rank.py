"""What test_distributed.py runs on each rank, by torchrun: `average` of all kinds of trees."""

import os
import time
from datetime import timedelta
from typing import Any

import pytest
import torch
from torch import distributed as dist

from functional_dl.distributed import average


def drawn(seed: int) -> dict[str, Any]:
    """Of several dtypes, sizes 0 and 1 among them, and one larger than the first message."""
    g = torch.Generator().manual_seed(seed)
    shared = torch.randn(3, generator=g)
    return {
        "0": {"weight": torch.randn(2, 3, generator=g).mT, "bias": shared},
        "1": {},
        "2": [torch.randn(5000, generator=g), torch.randn(0, 4, generator=g)],
        "3": (torch.randn((), generator=g).double(), torch.randn(9, generator=g).half()),
        "4": torch.randn(9, generator=g).bfloat16(),
        "5": shared,
    }


def flat(tree: Any) -> list[torch.Tensor]:
    """The leaves."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree
    return [leaf for part in parts for leaf in flat(part)]


if __name__ == "__main__":
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    rank, ranks = dist.get_rank(), dist.get_world_size()
    trees = [drawn(seed) for seed in range(ranks)]
    before = [leaf.clone() for leaf in flat(trees[rank])]
    with torch.inference_mode(rank == 0):
        means = average(trees[rank])
    assert type(means["2"]) is list
    assert type(means["3"]) is tuple
    assert list(means) == list(trees[0])
    for mean, *each in zip(flat(means), *map(flat, trees), strict=True):
        assert mean.dtype == each[0].dtype
        assert mean.shape == each[0].shape
        assert torch.equal(mean, sum(leaf / ranks for leaf in each))
    for leaf, old in zip(flat(trees[rank]), before, strict=True):
        assert torch.equal(leaf, old)
    assert average({}) == {}

    one = torch.ones(1)
    for others in (
        {"b": one},
        {"a": one, "b": one},
        {"a": torch.ones(1, 1)},
        {"a": torch.ones(10_000)},
        {"a": one.double()},
        {"a": one.half()},
        {"a": [one]},
        {},
        one,
    ):
        with pytest.raises(
            ValueError, match="average: expected the same tree on all ranks"
        ) as raised:
            average({"a": one} if rank == 0 else others)
        assert "got {'a': (torch.float32, (1,))}; " in str(raised.value)

    average({"a": one})
    if rank > 0:  # is lost, but not while rank 0 is still at the last mean
        dist.recv(one, 0)
        time.sleep(1)
    else:
        dist.send(one, 1)
        with pytest.raises(RuntimeError, match="average: expected all ranks to be there, but: "):
            average({"a": one})
    print(f"rank {rank} is done", flush=True)
    os._exit(0)  # without a word to the others
