"""Who trains a GPT in bench: AdamW, by each.

A contestant begins with a plan, and the parameters that its seed gives. It then trains on all
batches, and returns the losses of all steps.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

import functional_dl as fdl
from classifier.trainers import RATE
from language import text
from language.plan import Plan
from language.trainers import THRIFTY
from racing import by_adam
from racing.adam_peers import func_carry, jax_step
from racing.by_adam import Batches, jax_by_steps
from racing.jax_gpt import jax_loss
from racing.race import Turn
from report.contestant import Contestant, Whose

DECAY = 0.1
ADAMW = fdl.adam(weight_decay=DECAY, decoupled=True)
compiled = partial(by_adam.compiled, **THRIFTY)
STEPS = 4
PLANS = tuple(
    Plan(layers, width, 4, 64, style, True, batch, STEPS, RATE, seed=0)
    for layers, width, batch in ((2, 64, 4), (4, 128, 16))
    for style in ("modern", "classic")
)
"""Of 64 characters and 4 heads, with a head that is tied."""


def case_of(plan: Plan) -> dict[str, Any]:
    """What tables say of it."""
    size = f"{plan.layers} × {plan.width}, {plan.batch} × {plan.block} characters"
    return {"network": size, "style": plan.style}


class EachToken(nn.CrossEntropyLoss):
    """The mean over all tokens, of logits (N, T, V)."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """As those of N T samples."""
        return super().forward(input.flatten(0, 1), target.flatten())


@cache
def the_text() -> text.Text:
    """What all train on."""
    return text.load()


def data(plan: Plan) -> Batches:
    """Pieces of the text, and what comes next in them."""
    generator = torch.Generator().manual_seed(plan.seed)
    pieces = [
        text.batch(the_text().training, plan.block, plan.batch, generator) for _ in range(STEPS)
    ]
    x, t = zip(*pieces, strict=True)
    return torch.stack(x), torch.stack(t)


def core(
    plan: Plan,
    train: Callable[..., Turn] = by_adam.core,
    optimizer: fdl.Optimizer = ADAMW,
    **options: Any,
) -> Turn:
    """The functional core."""
    return train(plan.core(len(the_text().alphabet)), optimizer, data(plan), **options)


def twin(plan: Plan) -> nn.Module:
    """PyTorch's, with the parameters that the core begins with."""
    tokens = len(the_text().alphabet)
    ours, model = plan.core(tokens), plan.torch(tokens)
    torch.manual_seed(plan.seed)
    model.load_state_dict(fdl.to_state_dict(ours.init(), ours))
    return model


def pytorch(plan: Plan, **options: Any) -> Turn:
    """PyTorch's own."""
    adam = partial(torch.optim.AdamW, weight_decay=DECAY)
    return by_adam.pytorch(twin(plan), EachToken(), data(plan), adam=adam, **options)


def torch_func(plan: Plan) -> Turn:
    """torch.func over PyTorch's modules."""
    return by_adam.torch_func(twin(plan), EachToken(), data(plan), DECAY, compiled)


def jax(plan: Plan) -> Turn:
    """JAX."""
    return jax_by_steps(jax_step(jax_loss(plan), DECAY), func_carry(twin(plan)), data(plan))


PYTORCH = Contestant("PyTorch", Whose.PYTORCH, pytorch)
CORE = Contestant("core", Whose.OURS, core, exact=False, context=torch.inference_mode)
QUICK = (
    PYTORCH,
    Contestant("PyTorch, fused AdamW", Whose.PYTORCH, partial(pytorch, fused=True), exact=False),
    CORE,
    replace(CORE, name="core, value_and_update", begin=partial(core, train=by_adam.updating)),
    replace(CORE, name="core, traced", begin=partial(core, make=fdl.trace)),
    replace(
        CORE,
        name="core, traced, flat",
        begin=partial(core, make=fdl.trace, optimizer=fdl.flat(ADAMW)),
    ),
)
"""Those that compile nothing."""

SLOW = (
    Contestant(
        "PyTorch, torch.compile(model)",
        Whose.PYTORCH,
        partial(pytorch, wrap=torch.compile, fused=True),
        exact=False,
    ),
    Contestant(
        "torch.func, compiled step",
        Whose.PYTORCH,
        torch_func,
        exact=False,
        context=torch.inference_mode,
    ),
    Contestant("JAX, compiled step", Whose.PEER, jax, exact=False),
    replace(CORE, name="core, compiled step", begin=partial(core, make=compiled)),
)


def on_text(contestant: Contestant, plan: Plan) -> Contestant:
    """The contestant with this plan, from the parameters of its seed."""

    def begin() -> Turn:
        torch.manual_seed(plan.seed)
        return contestant.begin(plan)

    return replace(contestant, begin=begin)
