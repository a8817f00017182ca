"""Who trains the digits in bench: Adam, and nothing that draws, by each.

A contestant begins with a network and an epoch's batches, with the parameters that torch's seed
gives. It then trains for an epoch, and returns the losses of all steps.
"""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import functional_dl as fdl
from classifier.data import BATCH_SIZE, TRAINING, batches, split
from classifier.networks import Network
from classifier.trainers import RATE
from functional_dl import compat
from functional_dl.export import to_onnx
from racing import by_adam
from racing.adam_peers import func_carry, jax_step
from racing.by_adam import Batches, all_of, by_epochs, compiled, core_step
from racing.jax_digits import jax_loss
from racing.race import Turn
from report.contestant import Contestant, Whose

ADAM = fdl.adam()
STEPS = TRAINING // BATCH_SIZE


def one_epoch(network: Network) -> Batches:
    """The digits to train with."""
    training, _ = split(network.shape, seed=0)
    images, labels = zip(*batches(training, torch.Generator().manual_seed(0)), strict=True)
    return torch.stack(images), torch.stack(labels)


def pytorch(network: Network, data: Batches, **options: Any) -> Turn:
    """PyTorch's own."""
    return by_adam.pytorch(network.torch(), nn.CrossEntropyLoss(), data, **options)


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


def core(network: Network, data: Batches, optimizer: fdl.Optimizer = ADAM, **options: Any) -> Turn:
    """The functional core."""
    return by_adam.core(network.core(), optimizer, data, **options)


def exported(network: Network, data: Batches) -> Turn:
    """The functional core's step from a file, a call of ONNX Runtime each."""
    from exported.runtime import Training

    model = network.core()
    params, step = model.init(), core_step(model, ADAM)
    carry = params, ADAM.init(params)

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
    return by_adam.torch_func(network.torch(), nn.CrossEntropyLoss(), data)


def jax(network: Network, data: Batches, by: Any) -> Turn:
    """JAX."""
    return by(jax_step(jax_loss(network)), func_carry(network.torch()), data)


PYTORCH = Contestant("PyTorch", Whose.PYTORCH, pytorch)
CORE = Contestant("core", Whose.OURS, core, exact=False, context=torch.inference_mode)
FLAT = partial(core, optimizer=fdl.flat(ADAM))
QUICK = (
    PYTORCH,
    Contestant("PyTorch, fused Adam", Whose.PYTORCH, partial(pytorch, fused=True), exact=False),
    Contestant("compat", Whose.OURS, stateful, exact=False),
    CORE,
    replace(CORE, name="core, flat", begin=FLAT),
    replace(CORE, name="core, traced", begin=partial(core, make=fdl.trace)),
    replace(CORE, name="core, traced, flat", begin=partial(FLAT, make=fdl.trace)),
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
    Contestant("JAX, step", Whose.PEER, partial(jax, by=by_adam.jax_by_steps), exact=False),
    Contestant("JAX, epoch", Whose.PEER, partial(jax, by=by_adam.jax_by_epochs), exact=False),
    replace(CORE, name="core, compiled step", begin=partial(core, make=compiled)),
    replace(CORE, name="core, compiled step, flat", begin=partial(FLAT, make=compiled)),
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
