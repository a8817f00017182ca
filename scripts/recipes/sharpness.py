"""Follows the sharpness, the top eigenvalue of the loss's Hessian, through gradient descent.

One learns what a learning rate does. Gradient descent sharpens the loss until steps overshoot,
which they do beyond a sharpness of 2/lr, and then goes on at that edge. A product of the Hessian
and a vector is the derivative of the gradient along the vector: `torch.func.jvp` through
`value_and_grad`. Multiplied again and again, any vector turns to the top eigenvector.
"""

import recipe
import torch
from matplotlib import pyplot as plt
from torch import Tensor

import functional_dl as fdl

model = fdl.sequential(
    fdl.linear(2, 25),
    fdl.tanh(),
    fdl.linear(25, 25),
    fdl.tanh(),
    fdl.linear(25, 25),
    fdl.tanh(),
    fdl.linear(25, 2),
)
loss_and_grads = fdl.value_and_grad(model, fdl.mse())


def multiply(params: fdl.Params, vector: fdl.Params, inputs: Tensor, targets: Tensor) -> fdl.Params:
    """The product of the Hessian at params and vector/‖vector‖."""
    norm = recipe.flatten(vector).norm()
    unit = fdl.tree_map(lambda v: v / norm, vector)

    def gradient(p: fdl.Params) -> fdl.Params:
        return loss_and_grads(p, inputs, targets)[1]

    return torch.func.jvp(gradient, (params,), (unit,))[1]


def descend(
    lr: float, inputs: Tensor, targets: Tensor, steps: int
) -> list[tuple[int, fdl.Params, float]]:
    """Trains on all points at once; returns step, params and sharpness at every 30th step."""
    params, vector = model.init(), model.init()
    path: list[tuple[int, fdl.Params, float]] = []
    for step in range(steps):
        if step % 30 == 0:
            for _ in range(10 if step else 100):  # 10 are enough from the last eigenvector
                vector = multiply(params, vector, inputs, targets)
            path.append((step, params, recipe.flatten(vector).norm().item()))
        _, grads = loss_and_grads(params, inputs, targets)
        params = fdl.sgd(params, grads, lr)
    return path


def main(args: list[str] | None = None, steps: int = 3000) -> None:
    """Shows the sharpness at three learning rates, beside 2/lr."""
    options = recipe.begin(__doc__, args)
    figure, axis = plt.subplots(figsize=(10, 4))
    rows: list[dict[str, str]] = []
    for lr in (0.1, 0.2, 0.3):
        torch.manual_seed(options.seed)  # the same points and params for each rate
        numbers, _, sharpness = zip(*descend(lr, *recipe.disk(1000), steps), strict=True)
        (line,) = axis.plot(numbers, sharpness, "o-", markersize=3, label=f"lr = {lr}, measured")
        axis.axhline(2 / lr, linestyle="--", color=line.get_color(), label=f"2/lr = {2 / lr:.1f}")
        rows.append(
            {
                "lr": f"{lr}",
                "2/lr": f"{2 / lr:.1f}",
                "sharpness at first": f"{sharpness[0]:.1f}",
                "median of the last half": (
                    f"{torch.tensor(sharpness[len(sharpness) // 2 :]).median():.1f}"
                ),
            }
        )
    axis.set(xlabel="step", ylabel="sharpness (top eigenvalue of the Hessian)")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    recipe.end("sharpness", figure, rows, options)


if __name__ == "__main__":
    main()
