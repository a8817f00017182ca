"""Trains 64 networks as one: an ensemble that knows where it is unsure, and 64 learning rates.

A step is a pure function of params and lr, so `torch.vmap` makes it one of many networks, each with
its own rate. Where an ensemble's members contradict each other, their majority may be wrong.
"""

import recipe
import torch
from experiment import Points, functional_model, functional_step
from torch import Tensor

import functional_dl as fdl


def train(rates: Tensor, points: Points, epochs: int) -> fdl.Params:
    """The params of a network for each rate, stacked."""
    step = torch.vmap(functional_step("ReLU"), in_dims=(0, 0, None))
    params = fdl.stack([functional_model("ReLU").init() for _ in rates])
    with torch.inference_mode():
        for batch in epochs * points.batches():
            params, _ = step(params, rates, batch)
    return params


def votes(params: fdl.Params, inputs: Tensor) -> Tensor:
    """The class that each member gives each point, members × points."""
    return torch.vmap(functional_model("ReLU").apply, in_dims=(0, None))(params, inputs).argmax(2)


def errors(votes: Tensor, classes: Tensor) -> tuple[float, float, float]:
    """A member's, the majority's, and how much of that is in the 10 % of the closest votes."""
    share = (votes != classes).double().mean(0)
    lost, close = share > 0.5, (share - 0.5).abs().argsort()[: len(share) // 10]
    return share.mean().item(), lost.double().mean().item(), (lost[close].sum() / lost.sum()).item()


def main(args: list[str] | None = None, members: int = 64, epochs: int = 200) -> None:
    """Draws the vote at each place, and the error for each rate."""
    options = recipe.begin(__doc__, args)
    training, (inputs, targets) = Points.draw(1000), Points.draw(1000)
    rates, ticks = torch.logspace(-2.5, 0.3, members), torch.linspace(0, 1, 101)
    ensemble, sweep = (train(r, training, epochs) for r in (torch.full_like(rates, 0.1), rates))
    inside = votes(ensemble, torch.cartesian_prod(ticks, ticks)).double().mean(0).view(101, 101)
    figure, (left, right) = recipe.panels(("x₁", "x₂"), ("learning rate", "test error"))
    figure.colorbar(left.contourf(ticks, ticks, inside.T, levels=10, cmap="RdBu"))
    left.set(aspect="equal", title='share of the members that say "inside"')
    right.semilogx(rates, (votes(sweep, inputs) != targets.argmax(1)).double().mean(1), "o")
    right.set(title="a network for each rate")
    row = tuple(f"{e:.1%}" for e in errors(votes(ensemble, inputs), targets.argmax(1)))
    head = ("a member's error", "the majority's", "of it in the 10 % of the closest votes")
    recipe.end("ensemble", figure, [head, row], options)


if __name__ == "__main__":
    main()
