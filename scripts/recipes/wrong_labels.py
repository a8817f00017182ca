"""Finds wrong labels by the norm of each sample's gradient.

A network learns handwritten digits, of which 5 % have been given a wrong label. A wrong label
pulls against what the network learns from all others, so its gradient stays large. One learns how
to get a gradient for each sample: `value_and_grad` gives a pure function, and `torch.vmap` maps it
over samples. (The loss finds wrong labels too, here even better. But norms are what gradient
clipping and importance sampling need.)
"""

import recipe
import torch
from matplotlib import pyplot as plt
from torch import Tensor

import functional_dl as fdl
from classifier.data import load_all
from figures import WRONG

model = fdl.sequential(fdl.linear(64, 50), fdl.relu(), fdl.linear(50, 10))
loss_and_grads = fdl.value_and_grad(model, fdl.mse())


def mislabel(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gives one label in 20 another value; returns the labels, and which are wrong."""
    wrong = torch.randperm(len(labels)) < round(len(labels) / 20)
    others = (labels + torch.randint(1, 10, labels.shape)) % 10
    return torch.where(wrong, others, labels), wrong


def train(inputs: Tensor, targets: Tensor, epochs: int) -> fdl.Params:
    """Trains on all samples, in batches of 32."""
    params = model.init()
    for _ in range(epochs):
        for x, t in zip(inputs.split(32), targets.split(32), strict=True):
            _, grads = loss_and_grads(params, x, t)
            params = fdl.sgd(params, grads, lr=0.5)
    return params


def losses_and_norms(params: fdl.Params, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of each sample, and the norm of its gradient."""

    def of_sample(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        loss, grads = loss_and_grads(params, x, t)
        return loss, recipe.flatten(grads).norm()

    return torch.vmap(of_sample)(inputs, targets)


def main(args: list[str] | None = None, epochs: int = 20) -> None:
    """Shows the 5 % of the digits with the largest gradients, and how many labels are wrong."""
    options = recipe.begin(__doc__, args)
    images, labels = load_all()
    labels, wrong = mislabel(labels)
    inputs, targets = images - images.mean(0), torch.eye(10)[labels]
    params = train(inputs, targets, epochs)

    losses, norms = losses_and_norms(params, inputs, targets)
    by_norm, by_loss = (x.topk(int(wrong.sum())).indices for x in (norms, losses))
    rows = [
        {"top 5 % by": name, "have a wrong label": f"{wrong[top].double().mean():.1%}"}
        for name, top in (("norm of the gradient", by_norm), ("loss", by_loss))
    ]

    figure, axis = plt.subplots(figsize=(10, 3.5))
    tiles = torch.constant_pad_nd(images[by_norm].view(5, 18, 8, 8), (2, 2, 5, 0))  # rows × columns
    axis.imshow(tiles.transpose(1, 2).flatten(2).flatten(0, 1).numpy(), cmap="Greys")
    for place, i in enumerate(by_norm):
        row, column = divmod(place, 18)
        text = axis.text(12 * column + 5.5, 13 * row + 3.5, f"{labels[i]}", ha="center")
        if wrong[i]:
            text.set(color=WRONG, fontweight="bold")
    axis.set_title(
        "The 5 % with the largest gradients, under their labels, of which those in bold are wrong"
    )
    axis.axis("off")
    recipe.end("wrong-labels", figure, rows, options)


if __name__ == "__main__":
    main()
