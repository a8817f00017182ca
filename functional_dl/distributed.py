"""More than one process: gradients averaged over ranks, by torch.distributed.

Each rank takes its share of a batch, and all do the same step:

    loss, grads = loss_and_grads(params, inputs[rank::ranks], targets[rank::ranks])
    params = sgd(params, average(grads), lr)
"""

from collections.abc import Sequence
from functools import reduce
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from functional_dl._errors import not_floating
from functional_dl._tree import tensors, tree_map

FIRST = 2**14
"""Bytes of the first message, whatever a rank holds, for gloo aborts where sizes differ."""


def average(tree: Any, group: dist.ProcessGroup | None = None) -> Any:
    """The mean over ranks, of each leaf: (1/R) Σᵣ leafᵣ.

    All leaves of a dtype go in one buffer, and are divided before they are summed. That is what
    PyTorch's DistributedDataParallel does: of two ranks, every bit is the same; of more, sums may
    run in another order.

    Of gradients of means, it is a mean of means, which is the batch's only if all shares are of one
    size. If rank r has nᵣ of N samples, multiply its gradients by R nᵣ / N first, which gives
    Σᵣ (nᵣ / N) leafᵣ.

    Args:
        tree: Gradients, such as `value_and_grad` gives, of the same structure, shapes, dtypes and
            type of device on all ranks. All of them call this.
        group: The ranks; all there are if it is None.

    Returns:
        The tree of means, the same on all ranks.

    Raises:
        RuntimeError: torch.distributed isn't initialised, or a rank is gone.
        ValueError: This rank isn't in the group; the leaves aren't on one device that the group
            connects; or the ranks hold different trees, or one holds what can't be averaged: all
            get a message that says what each holds.
        TypeError: A leaf is no floating tensor. The other ranks get a ValueError.
    """
    if not dist.is_initialized():
        raise RuntimeError("average: expected torch.distributed to be initialised, as by torchrun")
    if dist.get_rank(group) < 0:
        raise ValueError(f"average: expected a group with this rank, {dist.get_rank()}, in it")
    ranks = dist.get_world_size(group)
    connected = [pair.split(":")[0] for pair in dist.get_backend_config(group).split(",")]
    try:
        leaves = _averageable(tree, connected)
        layout = str(tree_map(lambda leaf: (leaf.dtype, (*leaf.shape,), leaf.device.type), tree))
        buffers = {
            dtype: torch.cat([leaf.detach().flatten() for leaf in leaves if leaf.dtype == dtype])
            for dtype in dict.fromkeys(leaf.dtype for leaf in leaves)
        }
        for buffer in buffers.values():
            buffer.div_(ranks)
        parts = [buffer.view(torch.uint8) for buffer in buffers.values()]
        fault = None
    except Exception as error:  # raised when the others, who wait, have been told
        layout, fault = f"{type(error).__name__}: {error}", error
        leaves, buffers, parts = [], {}, []

    mark = torch.frombuffer(bytearray(sha256(layout.encode()).digest()), dtype=torch.uint8)
    fits = sum(map(len, [mark, *parts])) <= FIRST
    parts = [mark, *parts] if fits else [mark]
    parts.append(mark.new_zeros(FIRST - sum(map(len, parts))))
    places = [leaf.device for leaf in leaves if leaf.device.type == connected[0]] or connected
    message = torch.cat([part.to(places[0]) for part in parts])[None]
    messages = message.new_empty(ranks, FIRST)
    layouts: list[Any] = [layout] * ranks
    try:
        dist.all_gather_single(messages, message, group)
        marks, *shares = messages.split([*map(len, parts)], 1)
        if not torch.equal(marks[1:], marks[:-1]):
            dist.all_gather_object(layouts, layout, group)
        else:
            for i, buffer in enumerate(buffers.values()):
                if fits:  # each rank adds in the order of ranks, so that all get the same
                    buffer.copy_(reduce(torch.add, shares[i].clone().view(buffer.dtype)))
                else:
                    dist.all_reduce(buffer, group=group)
    except RuntimeError as error:
        raise RuntimeError(f"average: expected all ranks to be there, but: {error}") from error
    if fault is not None:
        raise fault
    if len({*layouts}) > 1:
        raise ValueError(f"average: expected the same tree on all ranks, got {'; '.join(layouts)}")
    means = {
        dtype: iter(buffer.split([leaf.numel() for leaf in leaves if leaf.dtype == dtype]))
        for dtype, buffer in buffers.items()
    }
    return tree_map(lambda leaf: next(means[leaf.dtype]).view(leaf.shape), tree)


def _averageable(tree: Any, devices: Sequence[str]) -> list[Tensor]:
    """The leaves, if all are floating tensors on one device of these types."""
    leaves = tensors("average", tree)
    for leaf in leaves:
        if not leaf.is_floating_point():
            raise not_floating("average", "a leaf", leaf)
        if leaf.device != leaves[0].device or leaf.device.type not in devices:
            expected = f"all leaves on one device of type {' or '.join(devices)}"
            got = ", ".join({str(leaf.device): None for leaf in leaves})
            raise ValueError(f"average: expected {expected}, got {got}")
    return leaves
