"""Writes a layer of one's own, a residual block, has it checked, and trains 62 linear layers.

One learns what a layer takes: params to start from, and a vjp, which `check_vjp` compares with the
mathematics. And one learns what this layer is for. Through a plain network of PyTorch's initial
weights, the gradient shrinks from block to block, until none gets to the first layer and no
learning rate helps. Around f, it gets there at any depth.
"""

import recipe
import torch
from matplotlib import pyplot as plt
from torch import Tensor

import functional_dl as fdl

RATES = 0.03, 0.1, 0.3, 1.0

plain = fdl.sequential(fdl.linear(16, 16), fdl.relu(), fdl.linear(16, 16))


def residual(f: fdl.Layer) -> fdl.Layer:
    """Y = X + f(X). Backward, for a cotangent ∇Y: ∇X = ∇Y + (∂f/∂X)ᵀ ∇Y."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        y, pullback_of_f = f.vjp(params, x)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> tuple[fdl.Params, Tensor | None]:
            grads, gx = pullback_of_f(gy, wrt_input=wrt_input)
            return grads, None if gx is None else gy + gx

        return x + y, pullback

    return fdl.Layer(f.init, lambda params, x: vjp(params, x)[0], vjp)


@torch.inference_mode()  # quicker, and nothing here needs autograd
def train(block: fdl.Layer, blocks: int, lr: float, epochs: int) -> tuple[float, float]:
    """Trains a network of so many blocks to tell the points inside a disk from those outside.

    Returns:
        The test error, and the norm of the first layer's gradient before training.
    """
    (inputs, targets), (test_inputs, test_targets) = recipe.disk(1000), recipe.disk(1000)
    model = fdl.sequential(fdl.linear(2, 16), *[block] * blocks, fdl.linear(16, 2))
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params = model.init()
    _, first = loss_and_grads(params, inputs, targets)
    for _ in range(epochs):
        for x, t in zip(inputs.split(100), targets.split(100), strict=True):
            _, grads = loss_and_grads(params, x, t)
            params = fdl.sgd(params, grads, lr)
    wrong = model.apply(params, test_inputs).argmax(1) != test_targets.argmax(1)
    return wrong.double().mean().item(), recipe.flatten(first["0"]).norm().item()


def main(
    args: list[str] | None = None, depths: tuple[int, ...] = (1, 3, 10, 30), epochs: int = 100
) -> None:
    """Shows the error at each rate, and the first layer's gradient, by depth."""
    options = recipe.begin(__doc__, args)
    fdl.check_vjp(residual(plain), plain.init(), torch.randn(4, 16))

    rows: list[dict[str, str]] = []
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for name, block in (("residual", residual(plain)), ("plain", plain)):
        best: list[float] = []
        norms: list[float] = []
        for blocks in depths:
            results: list[tuple[float, float]] = []
            for lr in RATES:
                torch.manual_seed(options.seed)  # the same points and params at each rate
                results.append(train(block, blocks, lr, epochs))
            errors, (norm, *_) = zip(*results, strict=True)
            best.append(min(errors))
            norms.append(norm)
            rows.append(
                {
                    "network": name,
                    "blocks": f"{blocks}",
                    **{f"error, lr {lr}": f"{e:.1%}" for lr, e in zip(RATES, errors, strict=True)},
                    "norm of the first layer's gradient": f"{norm:.0e}",
                }
            )
        left.semilogx(depths, best, "o-", label=name)
        right.loglog(depths, norms, "o-", label=name)
    left.set(ylabel=f"test error at the best of {len(RATES)} rates", ylim=(0, 0.6))
    right.set(ylabel="norm of the first layer's gradient\nbefore training")
    for axis in (left, right):
        axis.set(xlabel="blocks")
        axis.set_xticks(depths, [f"{n}" for n in depths])
        axis.minorticks_off()
        axis.legend()
    recipe.end("residual", figure, rows, options)


if __name__ == "__main__":
    main()
