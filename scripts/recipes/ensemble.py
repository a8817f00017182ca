"""Trains 64 networks as one: an ensemble that knows where it is unsure, and 64 learning rates.

One learns how to train many networks at once: a training step is a pure function of params and
learning rate, so `torch.vmap` makes it a step of all networks, whose params are stacked. Trained
from different params, the networks are an ensemble: where their votes are close, the majority may
be wrong. Trained at different rates, they show which rates work.
"""

import recipe
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor

import functional_dl as fdl
from figures import INSIDE, OUTSIDE, WRONG

model = fdl.sequential(
    fdl.linear(2, 25),
    fdl.relu(),
    fdl.linear(25, 25),
    fdl.relu(),
    fdl.linear(25, 25),
    fdl.relu(),
    fdl.linear(25, 2),
)
loss_and_grads = fdl.value_and_grad(model, fdl.mse())


def step(params: fdl.Params, lr: Tensor, x: Tensor, t: Tensor) -> fdl.Params:
    """One step of one network."""
    _, grads = loss_and_grads(params, x, t)
    return fdl.sgd(params, grads, lr)


def train(rates: Tensor, inputs: Tensor, targets: Tensor, epochs: int) -> fdl.Params:
    """Trains a network at each rate, all on the same batches; returns their params, stacked."""
    step_of_all = torch.vmap(step, in_dims=(0, 0, None, None))
    params = fdl.stack([model.init() for _ in rates])
    for _ in range(epochs):
        for x, t in zip(inputs.split(100), targets.split(100), strict=True):
            params = step_of_all(params, rates, x, t)
    return params


def classify(params: fdl.Params, inputs: Tensor) -> Tensor:
    """The class that each network gives each point, networks × points."""
    return torch.vmap(model.apply, in_dims=(0, None))(params, inputs).argmax(2)


def errors(share_wrong: Tensor) -> tuple[float, float, float]:
    """From the share of the members that are wrong about each point, errors of the ensemble.

    Returns:
        A member's error, the majority's, and how much of the majority's lies in the 10 % of the
        points with the closest votes.
    """
    majority_wrong = share_wrong > 0.5
    closest = (share_wrong - 0.5).abs().argsort()[: len(share_wrong) // 10]
    close = majority_wrong[closest].sum() / majority_wrong.sum()
    return share_wrong.mean().item(), majority_wrong.double().mean().item(), close.item()


def main(args: list[str] | None = None, members: int = 64, epochs: int = 200) -> None:
    """Shows the votes of an ensemble, where its majority is wrong, and the error at each rate."""
    options = recipe.begin(__doc__, args)
    training, (points, targets) = recipe.disk(1000), recipe.disk(1000)
    classes = targets.argmax(1)

    ensemble = train(torch.full((members,), 0.1), *training, epochs)
    share_wrong = (classify(ensemble, points) != classes).double().mean(0)
    heads = "a member's error", "the majority's", "of it, in the 10 % of the closest votes"
    row = {k: f"{e:.1%}" for k, e in zip(heads, errors(share_wrong), strict=True)}

    rates = torch.logspace(-2.5, 0.3, members)
    sweep = train(rates, *training, epochs)
    error_at_rate = (classify(sweep, points) != classes).double().mean(1)

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    ticks = torch.linspace(0, 1, 101)
    votes = classify(ensemble, torch.cartesian_prod(ticks, ticks)).double().mean(0)
    colors = LinearSegmentedColormap.from_list("votes", [OUTSIDE, "white", INSIDE])
    areas = left.contourf(ticks, ticks, votes.view(101, 101).T, levels=10, cmap=colors, alpha=0.5)
    figure.colorbar(areas, label='share of the members that say "inside"')
    left.plot(
        *points[share_wrong > 0.5].T,
        "x",
        color=WRONG,
        markeredgewidth=2,
        label="the majority is wrong",
    )
    left.set(xlabel="x₁", ylabel="x₂", aspect="equal", title=f"an ensemble of {members}")
    left.legend(loc="center")
    right.semilogx(rates, error_at_rate, "o")
    right.set(xlabel="learning rate", ylabel="test error", title="one network at each rate")
    recipe.end("ensemble", figure, [row], options)


if __name__ == "__main__":
    main()
