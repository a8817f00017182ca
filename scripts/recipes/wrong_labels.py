"""Finds wrong labels by the norm of each sample's gradient, all of them by one torch.vmap.

What a network learns from all labels, a wrong one pulls against: its gradient stays large. One
gradient for each sample takes no new code, since `value_and_grad` gives a pure function. (The loss
ranks samples too, and here even better; norms are what clipping and importance sampling go by.)
"""

import recipe
import torch
from matplotlib import pyplot as plt
from torch import Tensor

import functional_dl as fdl


def rank(inputs: Tensor, targets: Tensor, epochs: int) -> dict[str, Tensor]:
    """The norm of each sample's gradient, and its loss, after training on all samples."""
    model = fdl.sequential(fdl.linear(64, 50), fdl.relu(), fdl.linear(50, 10))
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    params = model.init()

    def of_sample(x: Tensor, t: Tensor) -> dict[str, Tensor]:
        loss, grads = loss_and_grads(params, x, t)
        flat = torch.cat([g.flatten() for g in fdl.to_state_dict(grads).values()])
        return {"norm of the gradient": flat.norm(), "loss": loss}

    with torch.inference_mode():
        for x, t in epochs * [*zip(inputs.split(32), targets.split(32), strict=True)]:
            params = fdl.sgd(params, loss_and_grads(params, x, t)[1], lr=0.5)
        return torch.vmap(of_sample)(inputs, targets)


def find(epochs: int) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """Digits, labels of which 5 % are wrong, which, and the top 5 % of each rank."""
    images, labels = recipe.digits()
    wrong = torch.randperm(len(labels)) < round(len(labels) / 20)
    given = torch.where(wrong, (labels + torch.randint(1, 10, labels.shape)) % 10, labels)
    ranks = rank(images - images.mean(0), torch.eye(10)[given], epochs)
    return images, given, wrong, {k: s.topk(int(wrong.sum())).indices for k, s in ranks.items()}


def main(args: list[str] | None = None, epochs: int = 20) -> None:
    """Draws what has the largest gradients, and prints how many of the top 5 % are wrong."""
    options = recipe.begin(__doc__, args)
    images, given, wrong, tops = find(epochs)
    figure, axes = plt.subplots(5, 18, figsize=(10, 4))
    figure.suptitle("The 5 % with the largest gradients, each under its label, red if it is wrong")
    for axis, i in zip(axes.flat, tops["norm of the gradient"], strict=True):
        axis.imshow(images[i].view(8, 8).numpy(), cmap="Greys")
        axis.set_title(f"{given[i]}", color="red" if wrong[i] else "black").axes.axis("off")
    rows = [(name, f"{wrong[top].double().mean():.1%}") for name, top in tops.items()]
    recipe.end("wrong-labels", figure, [("top 5 % by", "wrong labels"), *rows], options)


if __name__ == "__main__":
    main()
