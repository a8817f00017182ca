"""Who trains a GPT: the functional core and PyTorch, from the same params, with AdamW."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import functional_dl as fdl
from language.plan import Plan
from language.text import Predict
from report.contestant import Contestant, Whose

DECAY = 0.1


class Trainer(NamedTuple):
    """A network in training.

    Attributes:
        step: Trains on a batch and what comes next in it, and returns the loss before it.
        predict: Gives the logits of what comes next.
    """

    step: Callable[[Tensor, Tensor], Tensor]
    predict: Predict


def is_matrix(p: Tensor) -> bool:
    """Whether it decays: weights do, biases and the factors of norms don't."""
    return p.dim() >= 2


THRIFTY: dict[str, Any] = {"reorder_for_locality": False, "cpp.max_horizontal_fusion_size": 2}
"""Has Inductor compute each weight's gradient in its turn, and not those of all layers in the end.

So what it is computed from is given back on the way: a tenth less memory, in the same time.
"""

OPTIMIZER = fdl.adam(weight_decay=DECAY, decoupled=True, decays=is_matrix)


def update_of(model: fdl.Layer) -> Callable[..., Any]:
    """(params, x, t, state, lr) ↦ (loss, params, state), in the same memory."""
    return partial(fdl.value_and_update(model, fdl.cross_entropy(), OPTIMIZER), donate=True)


def compiled(update: Callable[..., Any]) -> Callable[..., Any]:
    """The whole step as one graph."""
    options = {"cpp_wrapper": True} | THRIFTY
    return torch.compile(update, fullgraph=True, dynamic=False, options=options)


def rate(plan: Plan) -> Callable[[int], Tensor]:
    """The rate of each step, as a tensor: else what is compiled for one is good for no other."""
    lr = plan.schedule()
    return lambda step: torch.tensor(lr(step), dtype=torch.float64)


def first_params(plan: Plan, model: fdl.Layer) -> fdl.Params:
    """Those that training starts from."""
    return model.init(torch.Generator().manual_seed(plan.seed))


def core(
    plan: Plan,
    tokens: int,
    update_of: Callable[[fdl.Layer], Callable[..., Any]] = update_of,
    is_compiled: bool = False,
) -> Trainer:
    """The functional core."""
    model, lr, count = plan.core(tokens), rate(plan), 0
    update = compiled(update_of(model)) if is_compiled else update_of(model)
    params = first_params(plan, model)
    state = OPTIMIZER.init(params)

    def step(x: Tensor, t: Tensor) -> Tensor:
        nonlocal params, state, count
        loss, params, state = update(params, x, t, state, lr(count))
        count += 1
        return loss

    return Trainer(step, lambda x: model.apply(params, x))


def pytorch(plan: Plan, tokens: int, is_compiled: bool = False) -> Trainer:
    """PyTorch's own."""
    ours, model = plan.core(tokens), plan.torch(tokens)
    model.load_state_dict(fdl.to_state_dict(first_params(plan, ours), ours))
    forward = torch.compile(model) if is_compiled else model
    matrices = [p for p in model.parameters() if is_matrix(p)]
    others = {"params": [p for p in model.parameters() if not is_matrix(p)], "weight_decay": 0.0}
    groups = [{"params": matrices, "weight_decay": DECAY}, others]
    optimizer = torch.optim.AdamW(groups, plan.lr, fused=True)
    lr, count = plan.schedule(), 0

    def step(x: Tensor, t: Tensor) -> Tensor:
        nonlocal count
        for group in optimizer.param_groups:
            group["lr"] = lr(count)
        loss = nn.functional.cross_entropy(forward(x).flatten(0, 1), t.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        count += 1
        return loss.detach()

    return Trainer(step, model)


PYTORCH = Contestant("PyTorch", Whose.PYTORCH, pytorch)
CORE = Contestant("core", Whose.OURS, core, context=torch.inference_mode)
COMPILED = (
    Contestant("PyTorch, compiled", Whose.PYTORCH, partial(pytorch, is_compiled=True)),
    Contestant(
        "core, compiled step",
        Whose.OURS,
        partial(core, is_compiled=True),
        context=torch.inference_mode,
    ),
)
