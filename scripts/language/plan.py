"""A network and its training, and the network as each library builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import functional_dl as fdl

STYLES = {"classic": fdl.CLASSIC, "modern": fdl.MODERN}


@dataclass(frozen=True)
class Plan:
    """What the params after each step follow from, beside the text; options of gpt, all of them."""

    layers: int
    width: int
    heads: int
    block: int
    style: str
    tied: bool
    batch: int
    steps: int
    lr: float
    seed: int

    def core(self, tokens: int) -> fdl.Layer:
        """The functional core's network, for so many tokens."""
        style = STYLES[self.style]
        return fdl.gpt(tokens, self.block, self.width, self.heads, self.layers, style, self.tied)

    def torch(self, tokens: int) -> nn.Module:
        """PyTorch's, whose state dict has the same names."""
        bias = self.style == "classic"

        def norm() -> nn.Module:
            return (nn.LayerNorm if bias else nn.RMSNorm)(self.width, eps=1e-5)

        def linear(inputs: int, outputs: int) -> nn.Module:
            return nn.Linear(inputs, outputs, bias)

        d = self.width
        blocks: list[nn.Module] = []
        for _ in range(self.layers):
            attention = linear(d, 3 * d), Attention(self.heads), linear(d, d)
            mlp = linear(d, 4 * d), nn.GELU("tanh") if bias else SquaredReLU(), linear(4 * d, d)
            blocks += [Residual(norm(), *attention), Residual(norm(), *mlp)]
        embedding, head = nn.Embedding(tokens, d), nn.Linear(d, tokens, bias=False)
        if self.tied:
            head.weight = embedding.weight
        return nn.Sequential(embedding, Positions(self.block, d), *blocks, norm(), head)

    def schedule(self) -> Callable[[int], float]:
        """The rate of each step."""
        return fdl.cosine(self.lr, self.steps, warmup=self.steps // 20, end=self.lr / 10)


class Positions(nn.Embedding):
    """X + P[:T]."""

    def forward(self, input: Tensor) -> Tensor:
        """Adds the first rows of its weight."""
        return input + self.weight[: input.shape[-2]]


class Residual(nn.Sequential):
    """X + f(X)."""

    def forward(self, input: Tensor) -> Tensor:
        """Adds the input to what its layers make of it."""
        return input + super().forward(input)


class Attention(nn.Module):
    """Causal attention of several heads, by PyTorch's own kernel."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, input: Tensor) -> Tensor:
        """From [Q K V], (N, T, 3 D), to (N, T, D)."""
        n, t, width = input.shape
        q, k, v = input.view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.transpose(1, 2).reshape(n, t, width // 3)


class SquaredReLU(nn.Module):
    """max(X, 0)²."""

    def forward(self, input: Tensor) -> Tensor:
        """Of each element."""
        return input.relu().square()
