"""The formulas of the layers that the page trains with, those of their docstrings, in LaTeX."""

import re

from latex2mathml.converter import convert

FORMULAS: dict[str, tuple[str, ...]] = {
    "linear": (
        r"Y = X W^\top + b",
        r"\nabla W = (\nabla Y)^\top X",
        r"\nabla b = 1_N \nabla Y",
        r"\nabla X = \nabla Y W",
    ),
    "relu": (
        r"Y = \max(X, 0)",
        r"\nabla X = \nabla Y \text{ where } Y \text{ is positive or NaN, } +0 \text{ elsewhere}",
    ),
    "leaky_relu": (
        r"Y = X \odot F \text{, with } F = 1 \text{ where } X \text{ is positive, slope elsewhere}",
        r"\nabla X = \nabla Y \odot F",
    ),
    "tanh": (r"Y = \tanh(X)", r"\nabla X = \nabla Y \odot (1 - Y^2)"),
    "sigmoid": (r"Y = 1 / (1 + \exp(-X))", r"\nabla X = \nabla Y \odot (1 - Y) \odot Y"),
    "gelu": (
        r"Y = X \odot \Phi \text{, with } \Phi = P(Z \le X) \text{ for a standard normal } Z",
        r"\nabla X = \nabla Y \odot (\Phi + X \odot \Phi')",
        r"\Phi' = \exp(-X^2/2) / \sqrt{2 \pi}",
    ),
    "mse": (
        r"L = \|Y - T\|^2 / n \text{, where } n \text{ is the number of elements of } Y",
        r"\nabla Y = (Y - T) \cdot 2/n",
    ),
    "sgd": (r"p \leftarrow p - \mathit{lr} \cdot \nabla p",),
}


def html(name: str) -> list[str]:
    """A layer's formulas: MathML, and the words between, which may go on on another line."""
    return [
        "".join(part if i % 2 else convert(part) for i, part in enumerate(parts) if part.strip())
        for parts in (re.split(r"\\text{(.*?)}", formula) for formula in FORMULAS[name])
    ]
