"""Writes a layer of one's own, a residual block, has it checked, and trains 62 layers with it.

One learns what a layer takes, and what this one is for: cotangents get far on the way around f.
"""

import recipe
import torch
from experiment import Points
from torch import Tensor

import functional_dl as fdl

PLAIN = fdl.sequential(fdl.linear(16, 16), fdl.relu(), fdl.linear(16, 16))


def residual(f: fdl.Layer) -> fdl.Layer:
    """Y = X + f(X). Backward, for a cotangent ∇Y: ∇X = ∇Y + (∂f/∂X)ᵀ ∇Y."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        y, pullback_of_f = f.vjp(params, x)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[fdl.Params, Tensor | None]:
            grads, gx = pullback_of_f(gy, wrt_input=wrt_input)
            return grads, None if gx is None else gy + gx

        return x + y, pullback

    return fdl.Layer(f.init, lambda params, x: vjp(params, x)[0], vjp)


def train(block: fdl.Layer, blocks: int, epochs: int) -> list[float]:
    """The test error after each epoch of a network of so many blocks."""
    model = fdl.sequential(fdl.linear(2, 16), *[block] * blocks, fdl.linear(16, 2))
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params, training, test, errors = model.init(), Points.draw(1000), Points.draw(1000), []
    for _ in range(epochs):
        for batch in training.batches():
            params = fdl.sgd(params, loss_and_grads(params, *batch)[1], lr=0.02)
        wrong = model.apply(params, test.inputs).argmax(1) != test.targets.argmax(1)
        errors.append(wrong.double().mean().item())
    return errors


def main(args: list[str] | None = None, epochs: int = 100) -> None:
    """Draws the test error by epoch, of three depths, with the way around and without."""
    options = recipe.begin(__doc__, args)
    fdl.check_vjp(residual(PLAIN), PLAIN.init(), torch.randn(4, 16))
    figure, ax = recipe.panels(("epoch", "error, residual"), ("epoch", "error, plain"), ylim=(0, 1))
    rows: list[tuple[str, ...]] = [("blocks", "test error, residual", "plain")]
    for blocks in (3, 10, 30):
        errors = [train(block, blocks, epochs) for block in (residual(PLAIN), PLAIN)]
        for axis, curve in zip(ax, errors, strict=True):
            axis.plot(curve, label=f"{blocks} blocks")
        rows.append((f"{blocks}", *(f"{e[-1]:.1%}" for e in errors)))
    recipe.end("residual", figure, rows, options)


if __name__ == "__main__":
    main()
