"""A GPT whose batches are shared out among ranks, beside one that each rank trains alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor
from torch import distributed as dist

import functional_dl as fdl
from functional_dl.distributed import average
from language.plan import Plan
from language.runs import Run, run_all
from language.text import Text
from language.trainers import CORE, OPTIMIZER, core
from report.contestant import Contestant


def update_of(model: fdl.Layer) -> Callable[..., Any]:
    """As in trainers, of this rank's share of the batch, which may be larger or smaller.

    The sum over all ranks, divided by how many targets there are, is the mean over the batch.
    """
    loss_and_grads = fdl.value_and_grad(model, fdl.cross_entropy("sum"))
    rank, ranks = dist.get_rank(), dist.get_world_size()

    def update(params: Any, x: Tensor, t: Tensor, state: Any, lr: Any) -> Any:
        sums = loss_and_grads(params, x[rank::ranks], t[rank::ranks])
        of_mean = ranks / t.numel()  # the mean over ranks, which divides by their number
        loss, grads = average(fdl.tree_map(lambda leaf: leaf * of_mean, sums))
        return loss, *OPTIMIZER.update(params, grads, state, lr, donate=True)

    return update


def run_both(plan: Plan, text: Text) -> dict[Contestant, Run]:
    """Trains on whole batches, and on this rank's shares of them; the first rank shows it."""
    whole = replace(CORE, name="core, one rank")
    begin = partial(core, update_of=update_of)
    shared = replace(CORE, name=f"core, {dist.get_world_size()} ranks", begin=begin)
    return run_all(plan, text, [whole, shared], is_shown=dist.get_rank() == 0)
