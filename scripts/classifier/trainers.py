"""Who trains the digits: AdamW, a cosine schedule with warm-up, clipping and dropout, by each.

Whoever draws, draws from torch's global generator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import functional_dl as fdl
from classifier.networks import Network
from functional_dl import compat
from proof.parity import CrossEntropy
from report.contestant import Contestant, Whose

RATE, DECAY, LIMIT = 0.003, 0.01, 1.0


class Trainer(NamedTuple):
    """A network in training.

    Attributes:
        step: Trains on a batch of images and labels, and returns the loss before it.
        predict: Gives the scores of images.
        parameters: Gives the parameters.
    """

    step: Callable[[Tensor, Tensor], Tensor]
    predict: Callable[[Tensor], Tensor]
    parameters: Callable[[], list[Tensor]]


def schedule(steps: int) -> Callable[[int], float]:
    """The rate of each step."""
    return fdl.cosine(RATE, steps, warmup=steps // 12)


OPTIMIZER = fdl.adam(weight_decay=DECAY, decoupled=True)


def update_of(
    network: Network,
    optimizer: fdl.Optimizer = OPTIMIZER,
    generator: torch.Generator = torch.default_generator,
) -> Callable[..., Any]:
    """(params, state, images, labels, lr) ↦ (new params, new state, loss)."""
    loss_and_grads = fdl.value_and_grad(network.core(), fdl.cross_entropy())

    def update(params: Any, state: Any, images: Tensor, labels: Tensor, lr: Any) -> Any:
        loss, grads = loss_and_grads(params, images, labels, generator)
        grads, _ = fdl.clip_norm(grads, LIMIT)
        params, state = optimizer.update(params, grads, state, lr)
        return params, state, loss

    return update


def core(
    network: Network,
    steps: int,
    optimizer: fdl.Optimizer = OPTIMIZER,
    made: Callable[..., Callable[..., Any]] = lambda update, *example: update,
    rate: Callable[[float], Any] = float,
) -> Trainer:
    """The functional core; `made` makes of an update and its arguments what is called."""
    model, lr, count = network.core(), schedule(steps), 0
    params = model.init()
    state, update = optimizer.init(params), None

    def step(images: Tensor, labels: Tensor) -> Tensor:
        nonlocal params, state, update, count
        given = params, state, images, labels, rate(lr(count))
        update = update or made(update_of(network, optimizer), *given)
        params, state, loss = update(*given)
        count += 1
        return loss

    return Trainer(
        step,
        lambda images: model.apply(params, images),
        lambda: [*fdl.to_state_dict(params).values()],
    )


a_tensor = partial(torch.tensor, dtype=torch.float64)
"""Of a rate: else what is written for one rate is good for no other."""


def compiled(update: Callable[..., Any], *_: Any) -> Callable[..., Any]:
    """By the recipe of `functional_dl.stacked`; it draws what PyTorch draws."""
    options: dict[str, Any] = {"cpp_wrapper": True, "fallback_random": True}
    return torch.compile(update, fullgraph=True, dynamic=False, options=options)


def stateful(network: Network, steps: int) -> Trainer:
    """compat."""
    model, criterion = network.compat(), compat.CrossEntropyLoss()
    optimizer = compat.AdamW(model.parameters(), model.grads(), RATE, weight_decay=DECAY)
    lr, count = schedule(steps), 0

    def step(images: Tensor, labels: Tensor) -> Tensor:
        nonlocal count
        optimizer.lr = lr(count)
        loss = criterion(model.train()(images), labels)
        model.backward(criterion.backward())
        grads = {str(i): grad for i, grad in enumerate(model.grads())}
        clipped, _ = fdl.clip_norm(grads, LIMIT)
        for k, grad in grads.items():
            grad.copy_(clipped[k])
        optimizer.step()
        optimizer.zero_grad()
        count += 1
        return loss

    return Trainer(step, lambda images: model.eval()(images), model.parameters)


def pytorch(
    network: Network,
    steps: int,
    criterion: Callable[[], nn.Module] = nn.CrossEntropyLoss,
    wrap: Callable[[nn.Module], Callable[[Tensor], Tensor]] = lambda model: model,
    **options: Any,
) -> Trainer:
    """PyTorch's own; wrap makes of the model what is called."""
    model, loss_of = network.torch(), criterion()
    forward = wrap(model)
    parameters = [*model.parameters()]
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY, **options)
    lr, count = schedule(steps), 0

    def step(images: Tensor, labels: Tensor) -> Tensor:
        nonlocal count
        optimizer.param_groups[0]["lr"] = lr(count)
        model.train()
        loss = loss_of(forward(images), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, LIMIT)
        optimizer.step()
        optimizer.zero_grad()
        count += 1
        return loss.detach()

    return Trainer(
        step,
        lambda images: model.eval()(images).detach(),
        lambda: [p.detach() for p in parameters],
    )


PYTORCH = Contestant("PyTorch", Whose.PYTORCH, pytorch)
TWIN = Contestant(
    "PyTorch, the loss written out",
    Whose.PYTORCH,
    partial(pytorch, criterion=partial(CrossEntropy, "mean")),
)
CORE = Contestant("core", Whose.OURS, core, context=torch.inference_mode)
TRACED = Contestant(
    "core, traced",
    Whose.OURS,
    partial(core, made=fdl.trace, rate=a_tensor),
    context=torch.inference_mode,
)
COMPILED = Contestant(
    "core, compiled step",
    Whose.OURS,
    partial(core, made=compiled, rate=a_tensor),
    exact=False,
    context=torch.inference_mode,
)
COMPAT = Contestant("compat", Whose.OURS, stateful)
CONTESTANTS = (PYTORCH, TWIN, CORE, TRACED, COMPILED, COMPAT)
