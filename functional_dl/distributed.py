"""More than one process: gradients averaged over ranks, by torch.distributed.

Each rank takes its share of a batch, and all do the same step:

    loss, grads = loss_and_grads(params, inputs[rank::ranks], targets[rank::ranks])
    params = sgd(params, average(grads), lr)
"""

import hashlib
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from functional_dl._errors import not_floating
from functional_dl._tree import tensors, tree_layout, tree_map

MARKS = 64
"""Numbers that say what tree it is."""

FIRST = 2**14
"""Bytes of the first message. It is as long for every tree, so that none waits for more."""


def average(tree: Any, group: dist.ProcessGroup | None = None) -> Any:
    """The mean over ranks, of each leaf: (1/R) Σᵣ leafᵣ.

    All leaves of a dtype go in one buffer, and are divided before they are summed. That is what
    PyTorch's DistributedDataParallel does: of two ranks, every bit is the same; of more, the order
    of a sum depends on where in the buffer an element lies.

    Args:
        tree: Gradients, such as `value_and_grad` gives, of the same structure, shapes and dtypes on
            all ranks. All of them call this.
        group: The ranks; all there are if it is None.

    Returns:
        The tree of means, the same on all ranks.

    Raises:
        RuntimeError: torch.distributed isn't initialised, or a rank is gone.
        ValueError: The ranks hold different trees; the message has those of all.
        TypeError: A leaf is no floating tensor.
    """
    if not dist.is_initialized():
        raise RuntimeError("average: expected torch.distributed to be initialised, as by torchrun")
    leaves = tensors("average", tree)
    for leaf in leaves:
        if not leaf.is_floating_point():
            raise not_floating("average", "a leaf", leaf)
    layout = str(tree_layout(tree))
    ranks = dist.get_world_size(group)
    means: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves) or [torch.float32]:
        same = [leaf for leaf in leaves if leaf.dtype == dtype]
        marks = _marks(layout).to(same[0] if same else torch.empty(0))
        sizes = [leaf.numel() for leaf in same]
        first = FIRST // dtype.itemsize
        sizes.append(max(0, first - MARKS - sum(sizes)))
        padding = marks.new_zeros(sizes[-1])
        buffer = torch.cat([marks, *(leaf.flatten() for leaf in same), padding])
        averaged = buffer[MARKS:].div_(ranks)
        try:
            dist.all_reduce(buffer[:first], group=group)
            if not all(mark in (0, ranks) for mark in buffer[:MARKS].tolist()):
                layouts: list[Any] = [None] * ranks
                dist.all_gather_object(layouts, layout, group)
                trees = "; ".join(layouts)
                raise ValueError(f"average: expected the same tree on all ranks, got {trees}")
            if len(buffer) > first:
                dist.all_reduce(buffer[first:], group=group)
        except RuntimeError as error:
            raise RuntimeError(f"average: expected all ranks to be there, but: {error}") from error
        for leaf, mean in zip(same, averaged.split(sizes), strict=False):
            means[id(leaf)] = mean.view(leaf.shape)
    return tree_map(lambda leaf: means[id(leaf)], tree)


@lru_cache
def _marks(layout: str) -> Tensor:
    """The bits of a checksum, as numbers: summed over R ranks, each is 0 or R if all agree."""
    checksum = int.from_bytes(hashlib.sha256(layout.encode()).digest()[: MARKS // 8])
    return torch.tensor([float(bit) for bit in f"{checksum:0{MARKS}b}"])
