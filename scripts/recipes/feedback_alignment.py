"""Trains with a backward pass that is not the gradient, and the network learns all the same.

A vjp is what one writes: four lines send the cotangent back by fixed random weights. One learns
that a layer's own come to agree with them, so that what is sent back turns towards the gradient.
"""

import recipe
import torch
from torch import Tensor

import functional_dl as fdl

LAYERS = fdl.linear(64, 30), fdl.tanh(), fdl.linear(30, 30), fdl.tanh(), fdl.linear(30, 10)


def astray(layer: fdl.Layer, scale: float) -> fdl.Layer:
    """The layer, but the cotangent of its input comes by other params: random ones, times scale."""
    others = {k: scale * p for k, p in layer.init().items()}

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        (y, own), (_, other) = layer.vjp(params, x), layer.vjp(others, x)
        return y, lambda gy, *, wrt_input=True: (own(gy)[0], other(gy, wrt_input=wrt_input)[1])

    return layer._replace(vjp=vjp)


def train(model: fdl.Layer, epochs: int) -> list[tuple[float, float]]:
    """After each epoch, the test error, and the angle to the gradient but for the last layer."""
    images, labels = recipe.digits()
    inputs, targets = images[:1200], torch.eye(10)[labels[:1200]]
    ours, right = (fdl.value_and_grad(m, fdl.mse()) for m in (model, fdl.sequential(*LAYERS)))
    params, path = model.init(), []
    for _ in range(epochs):
        for x, t in zip(inputs.split(32), targets.split(32), strict=True):
            params = fdl.sgd(params, ours(params, x, t)[1], lr=0.5)
        wrong = model.apply(params, images[1200:]).argmax(1) != labels[1200:]
        grads = (fdl.to_state_dict(f(params, inputs, targets)[1]) for f in (ours, right))
        a, b = (torch.cat([leaf.flatten() for leaf in g.values()][:-2]) for g in grads)
        angle = torch.cosine_similarity(a, b, 0).clamp(-1, 1).arccos().rad2deg()
        path.append((wrong.double().mean().item(), angle.item()))
    return path


def main(args: list[str] | None = None, epochs: int = 40) -> None:
    """Draws error and angle by epoch, for three ways back."""
    options = recipe.begin(__doc__, args)
    figure, (left, right) = recipe.panels(("epoch", "test error"), ("epoch", "angle, degrees"))
    rows = [("back by", "test error", "angle after an epoch", "in the end")]
    for way, scale in (("the gradient", None), ("random weights", 1.0), ("zeros", 0.0)):
        layers = LAYERS if scale is None else [astray(f, scale) for f in LAYERS]
        errors, angles = zip(*train(fdl.sequential(*layers), epochs), strict=True)
        left.plot(errors, label=way)
        right.plot(angles)
        rows.append((way, f"{errors[-1]:.1%}", f"{angles[0]:.0f}°", f"{angles[-1]:.0f}°"))
    recipe.end("feedback-alignment", figure, rows, options)


if __name__ == "__main__":
    main()
