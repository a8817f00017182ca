"""Who trains the digits in bench: Adam, and nothing that draws, by each.

A contestant begins with a network and an epoch's batches, with the parameters that torch's seed
gives. It then trains for an epoch, and returns the losses of all steps.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

import functional_dl as fdl
from classifier.data import BATCH_SIZE, TRAINING, batches, split
from classifier.networks import Network
from classifier.trainers import RATE
from functional_dl import compat
from functional_dl.export import to_onnx
from racing import digits_peers as peers
from racing.contestants import COMPILED
from racing.race import Turn
from report.contestant import Contestant, Whose

Batches: TypeAlias = tuple[Tensor, Tensor]
"""Images and labels, of all batches, stacked."""

ADAM = fdl.adam()
STEPS = TRAINING // BATCH_SIZE

Step: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]
"""(carry, batch) ↦ (new carry, loss); what is carried is params and Adam's state."""


def one_epoch(network: Network) -> Batches:
    """The digits to train with."""
    training, _ = split(network.shape, seed=0)
    images, labels = zip(*batches(training, torch.Generator().manual_seed(0)), strict=True)
    return torch.stack(images), torch.stack(labels)


def pytorch(
    network: Network,
    data: Batches,
    wrap: Callable[[nn.Module], Callable[[Tensor], Tensor]] = lambda model: model,
    **options: Any,
) -> Turn:
    """PyTorch's own; wrap makes of the model what is called."""
    model, criterion = network.torch().eval(), nn.CrossEntropyLoss()
    forward = wrap(model)
    optimizer = torch.optim.Adam(model.parameters(), RATE, **options)

    def step(images: Tensor, labels: Tensor) -> Tensor:
        loss = criterion(forward(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return all_of(data, step)


def stateful(network: Network, data: Batches) -> Turn:
    """compat."""
    model, criterion = network.compat().eval(), compat.CrossEntropyLoss()
    optimizer = compat.Adam(model.parameters(), model.grads(), RATE)

    def step(images: Tensor, labels: Tensor) -> Tensor:
        loss = criterion(model(images), labels)
        model.backward(criterion.backward())
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return all_of(data, step)


def all_of(data: Batches, step: Callable[[Tensor, Tensor], Tensor]) -> Turn:
    """One batch after the other."""
    pairs = [*zip(*data, strict=True)]
    return lambda: torch.stack([step(*pair) for pair in pairs])


def core_carry(network: Network, optimizer: fdl.Optimizer) -> Any:
    """What the functional core begins with."""
    params = network.core().init()
    return params, optimizer.init(params)


def core_step(network: Network, optimizer: fdl.Optimizer, donate: bool = False) -> Step:
    """A step by the functional core."""
    loss_and_grads = fdl.value_and_grad(network.core(), fdl.cross_entropy())

    def step(carry: Any, batch: Any) -> tuple[Any, Tensor]:
        params, state = carry
        loss, grads = loss_and_grads(params, *batch)
        return optimizer.update(params, grads, state, RATE, donate=donate), loss

    return step


Make: TypeAlias = Callable[..., Step]
"""Makes of a step, and of what it is first called with, what is called."""


def eager(step: Step, *_: Any) -> Step:
    """The step itself."""
    return step


def compiled(step: Step, *_: Any) -> Step:
    """By the recipe of `functional_dl.stacked`."""
    return torch.compile(step, **COMPILED)


def by_steps(make: Make, step: Step, carry: Any, data: Batches) -> Turn:
    """One batch after the other."""
    call = make(step, carry, tuple(leaf[0] for leaf in data))

    def next_step(*batch: Tensor) -> Tensor:
        nonlocal carry
        carry, loss = call(carry, batch)
        return loss

    return all_of(data, next_step)


def by_epochs(make: Make, step: Step, carry: Any, data: Batches) -> Turn:
    """All batches in a call."""
    call = make(partial(fdl.scan, step), carry, data)

    def turn() -> Tensor:
        nonlocal carry
        carry, losses = call(carry, data)
        return losses

    return turn


def core(
    network: Network,
    data: Batches,
    make: Make = eager,
    by: Callable[..., Turn] = by_steps,
    optimizer: fdl.Optimizer = ADAM,
) -> Turn:
    """The functional core."""
    with torch.inference_mode():  # what is made in it can be donated in it
        carry = core_carry(network, optimizer)
        step = core_step(network, optimizer, donate=True)
        return by(make, step, carry, fdl.tree_map(torch.clone, data))


def exported(network: Network, data: Batches) -> Turn:
    """The functional core's step from a file, a call of ONNX Runtime each."""
    from exported.runtime import Training

    carry, step = core_carry(network, ADAM), core_step(network, ADAM)

    def flat_step(params: Any, state: Any, images: Tensor, labels: Tensor) -> tuple[Any, ...]:
        carry, loss = step((params, state), (images, labels))
        return *carry, loss

    pairs = [*zip(*data, strict=True)]
    named = fdl.to_state_dict(dict(zip(("params", "state"), carry, strict=True)))
    feeds = [{"inputs": x.numpy(), "targets": t.numpy()} for x, t in pairs]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "step.onnx")
        to_onnx(flat_step, (*carry, *pairs[0]), file)
        arrays = {k: leaf.numpy() for k, leaf in named.items()}
        training = Training(file, arrays, feeds, torch.get_num_threads())
    return lambda: torch.from_numpy(training.run(len(pairs)))


def torch_func(network: Network, data: Batches) -> Turn:
    """torch.func over PyTorch's modules."""
    carry = peers.func_carry(network)
    return by_steps(compiled, peers.func_step(network), carry, data)


def jax_by_steps(network: Network, data: Batches) -> Turn:
    """JAX, a step in a compiled call."""
    import jax

    carry, call = peers.as_arrays(peers.func_carry(network)), jax.jit(peers.jax_step(network))
    pairs = [*zip(*peers.as_arrays(data), strict=True)]

    def turn() -> Tensor:
        nonlocal carry
        losses: list[Any] = []
        for batch in pairs:
            carry, loss = call(carry, batch)
            losses.append(loss)
        return torch.from_numpy(np.stack(losses))

    return turn


def jax_by_epochs(step: Step, carry: Any, data: Batches) -> Turn:
    """JAX, an epoch in a compiled call."""
    import jax

    call = jax.jit(partial(jax.lax.scan, step))
    carry, data = peers.as_arrays((carry, data))

    def turn() -> Tensor:
        nonlocal carry
        carry, losses = call(carry, data)
        return torch.from_numpy(np.array(losses))

    return turn


def jax_epoch(network: Network, data: Batches) -> Turn:
    """JAX's step."""
    return jax_by_epochs(peers.jax_step(network), peers.func_carry(network), data)


PYTORCH = Contestant("PyTorch", Whose.PYTORCH, pytorch)
CORE = Contestant("core", Whose.OURS, core, exact=False, context=torch.inference_mode)
QUICK = (
    PYTORCH,
    Contestant("PyTorch, fused Adam", Whose.PYTORCH, partial(pytorch, fused=True), exact=False),
    Contestant("compat", Whose.OURS, stateful, exact=False),
    CORE,
    replace(CORE, name="core, traced", begin=partial(core, make=fdl.trace)),
    replace(
        CORE,
        name="core, traced, flat",
        begin=partial(core, make=fdl.trace, optimizer=fdl.flat(ADAM)),
    ),
)
"""Those that compile and export nothing."""

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
    Contestant("JAX, step", Whose.PEER, jax_by_steps, exact=False),
    Contestant("JAX, epoch", Whose.PEER, jax_epoch, exact=False),
    replace(CORE, name="core, compiled step", begin=partial(core, make=compiled)),
    replace(CORE, name="core, compiled epoch", begin=partial(core, make=compiled, by=by_epochs)),
    Contestant("exported step, ONNX Runtime", Whose.OURS, exported, exact=False),
)


def on_digits(contestant: Contestant, network: Network) -> Contestant:
    """The contestant on the digits, from the parameters of seed 0."""

    def begin() -> Turn:
        data = one_epoch(network)
        torch.manual_seed(0)
        return contestant.begin(network, data)

    return replace(contestant, begin=begin)
