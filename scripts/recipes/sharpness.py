"""Follows the sharpness, the top eigenvalue of the loss's Hessian, through gradient descent.

A Hessian-vector product is `torch.func.jvp` through `value_and_grad`; one after another, they turn
a vector to the top eigenvector. One learns what a learning rate does: the loss gets sharper until
steps overshoot, as they do beyond 2/lr, and training goes on at that edge.
"""

import recipe
import torch
from experiment import Points, functional_model

import functional_dl as fdl

MODEL = functional_model("Tanh")
loss_and_grads = fdl.value_and_grad(MODEL, fdl.mse())


def multiply(params: fdl.Params, vector: fdl.Params, points: Points) -> tuple[fdl.Params, float]:
    """H v/‖v‖, for the Hessian H of the loss at params; and ‖v‖, which comes to the eigenvalue."""
    norm = torch.cat([v.flatten() for v in fdl.to_state_dict(vector).values()]).norm()
    unit = {k: {name: v / norm for name, v in layer.items()} for k, layer in vector.items()}
    product = torch.func.jvp(lambda p: loss_and_grads(p, *points)[1], (params,), (unit,))[1]
    return product, norm.item()


def descend(lr: float, points: Points, steps: int) -> list[tuple[int, fdl.Params, float]]:
    """At every thirtieth step of gradient descent on all points: its number, params, sharpness."""
    params, vector, sharpness, path = MODEL.init(), MODEL.init(), 0.0, []
    for step in range(steps):
        if step % 30 == 0:
            for _ in range(20 if step else 100):  # the last eigenvector is near the next
                vector, sharpness = multiply(params, vector, points)
            path.append((step, params, sharpness))
        params = fdl.sgd(params, loss_and_grads(params, *points)[1], lr)
    return path


def main(args: list[str] | None = None, steps: int = 3000) -> None:
    """Draws the sharpness at three learning rates, beside 2/lr."""
    options = recipe.begin(__doc__, args)
    figure, (axis,) = recipe.panels(("step", "sharpness, and 2/lr (dashed)"))
    rows: list[tuple[str, ...]] = [("lr", "2/lr", "sharpness at first", "median of the last half")]
    for lr in (0.1, 0.2, 0.3):
        torch.manual_seed(options.seed)
        steps_at, _, sharpness = zip(*descend(lr, Points.draw(1000), steps), strict=True)
        (line,) = axis.plot(steps_at, sharpness, label=f"lr = {lr}")
        axis.axhline(2 / lr, linestyle="--", color=line.get_color())
        median = torch.tensor(sharpness[len(sharpness) // 2 :]).median()
        rows.append((f"{lr}", *(f"{x:.1f}" for x in (2 / lr, sharpness[0], median))))
    recipe.end("sharpness", figure, rows, options)


if __name__ == "__main__":
    main()
