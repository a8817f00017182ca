"""Trains with a backward pass that is not the gradient, and the network learns all the same.

One learns that a vjp is a function like any other, which may be written differently: here, four
lines send the cotangent back by fixed random weights in place of the layer's own. The layer's own
weights come to agree with those, and so what is sent back turns towards the gradient
(feedback alignment: Lillicrap et al., 2016).
"""

from collections.abc import Callable
from functools import partial

import recipe
import torch
from matplotlib import pyplot as plt
from torch import Tensor

import functional_dl as fdl
from classifier.data import load_all

layers = fdl.linear(64, 30), fdl.tanh(), fdl.linear(30, 30), fdl.tanh(), fdl.linear(30, 10)
true_gradient = fdl.value_and_grad(fdl.sequential(*layers), fdl.mse())


def misdirected(layer: fdl.Layer, scale: float) -> fdl.Layer:
    """The layer, but the cotangent of its input comes by other params: random ones times scale."""
    others = {name: scale * p for name, p in layer.init().items()}

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        (y, own), (_, other) = layer.vjp(params, x), layer.vjp(others, x)
        return y, lambda gy, *, wrt_input=True: (own(gy)[0], other(gy, wrt_input=wrt_input)[1])

    return layer._replace(vjp=vjp)


def angle(grads: fdl.Params, others: fdl.Params) -> float:
    """The angle between two gradients, in degrees, without the last layer, where they agree."""
    a, b = (recipe.flatten({k: g[k] for k in list(g)[:-1]}) for g in (grads, others))
    return torch.cosine_similarity(a, b, 0).clamp(-1, 1).arccos().rad2deg().item()


def train(model: fdl.Layer, epochs: int) -> tuple[list[float], list[float]]:
    """Trains; returns the test error and the angle to the gradient after each epoch."""
    images, labels = load_all()
    inputs, targets = images[:1200], torch.eye(10)[labels[:1200]]
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params = model.init()
    errors: list[float] = []
    angles: list[float] = []
    for _ in range(epochs):
        for x, t in zip(inputs.split(32), targets.split(32), strict=True):
            _, grads = loss_and_grads(params, x, t)
            params = fdl.sgd(params, grads, lr=0.5)
        wrong = model.apply(params, images[1200:]).argmax(1) != labels[1200:]
        errors.append(wrong.double().mean().item())
        ours, theirs = (f(params, inputs, targets)[1] for f in (loss_and_grads, true_gradient))
        angles.append(angle(ours, theirs))
    return errors, angles


def main(args: list[str] | None = None, epochs: int = 40) -> None:
    """Shows error and angle by epoch, for three backward passes."""
    options = recipe.begin(__doc__, args)
    ways: dict[str, Callable[[fdl.Layer], fdl.Layer]] = {
        "the gradient": lambda f: f,
        "random weights": partial(misdirected, scale=1.0),
        "zeros": partial(misdirected, scale=0.0),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    rows: list[dict[str, str]] = []
    for name, way in ways.items():
        errors, angles = train(fdl.sequential(*map(way, layers)), epochs)
        for axis, values in ((left, errors), (right, angles)):
            axis.plot(range(1, epochs + 1), values, "o-", markersize=3, label=f"back by {name}")
        rows.append(
            {
                "back by": name,
                "test error": f"{errors[-1]:.1%}",
                "angle after an epoch": f"{angles[0]:.0f}°",
                "in the end": f"{angles[-1]:.0f}°",
            }
        )
    left.set(xlabel="epoch", ylabel="test error")
    right.set(xlabel="epoch", ylabel="angle to the gradient, degrees")
    left.legend()
    recipe.end("feedback-alignment", figure, rows, options)


if __name__ == "__main__":
    main()
