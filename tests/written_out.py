"""GPTs whose every step backward can be held against autograd's, and how both are trained.

PyTorch's fused kernels sum in orders of their own, in softmax, LayerNorm and GELU. Here these are
written out in plain operations, once as modules, which autograd differentiates, and once as layers,
whose way back is what autograd does with each operation, in its order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

import functional_dl as fdl
from cases import Attention, CrossEntropy, Positions, ReLUSquared, Residual

EPS = 1e-5
CUBIC = 0.044715 * math.sqrt(8 / math.pi)
LINEAR = math.sqrt(8 / math.pi)


# As modules


class GELU(nn.Module):
    """X Φ, with Φ = 1 / (1 + exp(−U)) and U = X (LINEAR + CUBIC X²)."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        u = x * (x.square() * CUBIC + LINEAR)
        return x * u.sigmoid()


class LayerNorm(nn.LayerNorm):
    """N w + b, with N = (X − mean) / √(var + ε)."""

    def forward(self, input: Tensor) -> Tensor:
        """Of rows."""
        centred = input - input.mean(-1, keepdim=True)
        n = centred * (centred.square().mean(-1, keepdim=True) + EPS).rsqrt()
        return n * self.weight + self.bias


class Softmaxed(Attention):
    """Causal, by softmax written out."""

    def forward(self, x: Tensor) -> Tensor:
        """Of sequences."""
        q, k, v = by_heads(x, self.heads)
        s = (q.bmm(k.mT) / math.sqrt(q.shape[-1])).masked_fill(later(q), -torch.inf)
        e = (s - s.detach().amax(-1, keepdim=True)).exp()
        y = (e / e.sum(-1, keepdim=True)).bmm(v)
        return y.unflatten(0, (-1, self.heads)).transpose(1, 2).flatten(2)


def by_heads(x: Tensor, heads: int) -> tuple[Tensor, ...]:
    """Q, K and V as batches of matrices, from (N, T, 3 H d)."""
    apart = x.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return apart.reshape(3, -1, x.shape[1], apart.shape[-1]).unbind()


def later(q: Tensor) -> Tensor:
    """What no position sees."""
    t = q.shape[1]
    return torch.ones(t, t, dtype=torch.bool).triu(1)


# As layers


@fdl.layer
def gelu() -> fdl.Maths:
    """As `GELU`."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        slope = x.square() * CUBIC + LINEAR
        phi = (x * slope).sigmoid()

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> fdl.Cotangents:
            gu = gy * x * (1 - phi) * phi
            return {}, gy * phi + gu * slope + gu * x * CUBIC * (2 * x)

        return x * phi, pullback

    return fdl.Maths(vjp)


@fdl.layer
def layer_norm(features: int) -> fdl.Maths:
    """As `LayerNorm`."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        w, b = params["weight"], params["bias"]
        centred = x - x.mean(-1, keepdim=True)
        r = (centred.square().mean(-1, keepdim=True) + EPS).rsqrt()
        n = centred * r

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> fdl.Cotangents:
            grads = {"weight": (gy * n).sum_to_size(features), "bias": gy.sum_to_size(features)}
            gn = gy * w
            g_var = -0.5 * (gn * centred).sum(-1, keepdim=True) * r.pow(3)
            g = gn * r + g_var / features * (2 * centred)
            return grads, g + (-g).sum(-1, keepdim=True) / features

        return n * w + b, pullback

    def draw(params: fdl.Params, generator: torch.Generator | None) -> None:
        params["weight"].fill_(1)
        params["bias"].zero_()

    return fdl.Maths(vjp, {"weight": (features,), "bias": (features,)}, draw)


@fdl.layer
def attention(heads: int) -> fdl.Maths:
    """As `Softmaxed`."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        q, k, v = by_heads(x, heads)
        hidden, root = later(q), math.sqrt(q.shape[-1])
        s = (q.bmm(k.mT) / root).masked_fill(hidden, -torch.inf)
        e = (s - s.amax(-1, keepdim=True)).exp()
        total = e.sum(-1, keepdim=True)
        p = e / total

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> fdl.Cotangents:
            gy = gy.unflatten(-1, (heads, -1)).transpose(1, 2).flatten(0, 1)
            gp = gy.bmm(v.mT)
            ge = gp / total + (-gp * (p / total)).sum(-1, keepdim=True)
            gs = (ge * e).masked_fill(hidden, 0) / root
            parts = torch.stack([gs.bmm(k), q.mT.bmm(gs).mT, p.mT.bmm(gy)])
            apart = parts.unflatten(1, (-1, heads)).permute(1, 3, 0, 2, 4)
            return {}, apart.reshape(x.shape)

        return p.bmm(v).unflatten(0, (-1, heads)).transpose(1, 2).flatten(2), pullback

    return fdl.Maths(vjp)


# Networks of them


class Pieces(NamedTuple):
    """What a GPT is made of in PyTorch, as `fdl.Style` has it."""

    norm: Callable[[int], nn.Module]
    activation: Callable[[], nn.Module]
    bias: bool
    attention: Callable[[int], nn.Module] = partial(Attention, causal=True)


CLASSIC = Pieces(nn.LayerNorm, partial(nn.GELU, "tanh"), bias=True)
MODERN = Pieces(partial(nn.RMSNorm, eps=EPS), ReLUSquared, bias=False)

QUICK = {"classic": (fdl.CLASSIC, CLASSIC), "modern": (fdl.MODERN, MODERN)}
"""The library's layers, and torch.nn's modules with its fused attention."""

WRITTEN_OUT = {
    "classic": (
        fdl.Style(layer_norm, gelu, True, attention),
        Pieces(LayerNorm, GELU, True, partial(Softmaxed, causal=True)),
    ),
    "modern": (
        fdl.MODERN._replace(attention=attention),
        MODERN._replace(attention=partial(Softmaxed, causal=True)),
    ),
}
"""What has kernels of its own in PyTorch written out, on both sides."""


class Sizes(NamedTuple):
    """Of a GPT."""

    tokens: int
    length: int = 64
    features: int = 64
    heads: int = 4
    blocks: int = 2


def modules(sizes: Sizes, pieces: Pieces, is_tied: bool) -> nn.Sequential:
    """The twin of `fdl.gpt`, under the same names."""
    tokens, length, features, heads, blocks = sizes
    norm, activation, bias, attends = pieces
    block = [
        lambda: Residual(
            norm(features),
            nn.Linear(features, 3 * features, bias),
            attends(heads),
            nn.Linear(features, features, bias),
        ),
        lambda: Residual(
            norm(features),
            nn.Linear(features, 4 * features, bias),
            activation(),
            nn.Linear(4 * features, features, bias),
        ),
    ]
    model = nn.Sequential(
        nn.Embedding(tokens, features),
        Positions(length, features),
        *(residual() for residual in block * blocks),
        norm(features),
        nn.Linear(features, tokens, bias=False),
    )
    if is_tied:
        model[-1].weight = model[0].weight
    return model


Trained = tuple[list[Tensor], dict[str, Tensor]]
"""The loss of each step, and the params after all of them."""

DECAY = 0.1
RATE = 1e-3


def train_ours(model: fdl.Layer, params: fdl.Params, batches: list[Tensor]) -> Trained:
    """With AdamW, on sequences each of whose tokens is to be told from those before it."""
    adamw = fdl.adam(decoupled=True, weight_decay=DECAY)
    loss_and_grads = fdl.value_and_grad(model, fdl.cross_entropy())
    state, losses = adamw.init(params), []
    with torch.inference_mode():
        for batch in batches:
            loss, grads = loss_and_grads(params, batch[:, :-1], batch[:, 1:])
            params, state = adamw.update(params, grads, state, RATE)
            losses.append(loss)
    return losses, fdl.to_state_dict(params, model)


def train_theirs(model: nn.Sequential, params: dict[str, Tensor], batches: list[Tensor]) -> Trained:
    """The same from the same params by autograd and PyTorch's AdamW."""
    model.load_state_dict(params)
    adamw = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
    criterion, losses = CrossEntropy("mean"), []
    for batch in batches:
        adamw.zero_grad()
        loss = criterion(model(batch[:, :-1]), batch[:, 1:])
        loss.backward()
        adamw.step()
        losses.append(loss.detach())
    return losses, {k: p.detach() for k, p in model.state_dict().items()}


def draw(sizes: Sizes, steps: int, samples: int, seed: int) -> list[Tensor]:
    """A batch for each step, in which a token says much about the next one."""
    generator = torch.Generator().manual_seed(seed)
    following = torch.randint(sizes.tokens, (sizes.tokens, 2), generator=generator)
    chosen = torch.randint(2, (steps, samples, sizes.length), generator=generator)
    batches = [torch.randint(sizes.tokens, (steps, samples), generator=generator)]
    for i in range(sizes.length):
        batches.append(following[batches[-1], chosen[..., i]])
    return [*torch.stack(batches, -1)]
