"""Right layers and losses, and slips in them, on which `check_vjp` is tested.

They are written as lines, as in `proof.faults`, and stand beside the primals that show the slip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

import functional_dl as fdl
from proof.faults import Line, layer


class Right(NamedTuple):
    """A right layer, or a loss if one of its lines is a value; how it is checked, and on what."""

    lines: dict[str, Line]
    primals: Callable[[], tuple[Any, ...]]
    how: dict[str, Any] = {}  # noqa: RUF012, nobody changes it

    def made(self, **slip: Line) -> fdl.Layer | fdl.Loss:
        """A new one, but for a slip."""
        lines = self.lines | slip
        return loss(**lines) if "value" in lines else layer(**lines)


class Wrong(NamedTuple):
    """A slip in a right one, and the property that it breaks."""

    right: str
    breaks: int
    slip: dict[str, Line]

    def made(self) -> fdl.Layer | fdl.Loss:
        """A new one."""
        return RIGHT[self.right].made(**self.slip)


def loss(**lines: Line) -> fdl.Loss:
    """A loss of these lines, in which t is the second primal and u the third."""

    def vjp(y: Tensor, t: Any, u: Any = None) -> Any:
        v = SimpleNamespace(y=y, t=t, u=u)
        return lines["value"](v), lambda: lines["y"](v)

    return fdl.Loss(lambda *primals: vjp(*primals)[0], vjp)


def on(*rows: Any, **params: Tensor) -> Callable[[], tuple[Any, ...]]:
    """Params and an x of these rows."""
    return lambda: (params, torch.tensor(rows))


def wide(*rows: Any) -> Callable[[], tuple[Any, ...]]:
    """No params, and an x of these rows, in double precision."""
    return lambda: ({}, torch.tensor(rows, dtype=torch.float64))


def rand(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def drawn(*shape: int, **params: Tensor) -> Callable[[], tuple[Any, ...]]:
    """Params and a normal x."""
    return lambda: (params, rand(*shape))


def one_hot(t: Tensor, like: Tensor) -> Tensor:
    """Rows of zeros, with a one where t says."""
    return torch.zeros_like(like).scatter_(-1, t[:, None], 1)


def refuses(wrong: Any) -> None:
    """Raises an error where something is out of the domain."""
    if wrong:
        raise ValueError("out of the domain")


def times_softmax_slope(y: Tensor, gy: Tensor) -> Tensor:
    """The way back through Y = softmax(X)."""
    return y * (gy - (gy * y).sum(-1, keepdim=True))


def normalized(x: Tensor) -> Tensor:
    """Of mean 0 and variance 1 along the last dimension."""
    return (x - x.mean(-1, keepdim=True)) * scale_to_one(x)


def scale_to_one(x: Tensor) -> Tensor:
    """1 / √(variance + 10⁻⁵) along the last dimension."""
    return ((x - x.mean(-1, keepdim=True)).square().mean(-1, keepdim=True) + 1e-5).rsqrt()


def norm_back(v: Any, terms: int = 3) -> Tensor:
    """The way back through `normalized`, or its first terms."""
    n = normalized(v.x)
    parts = (v.gy, -v.gy.mean(-1, keepdim=True), -n * (v.gy * n).mean(-1, keepdim=True))
    return sum(parts[:terms]) * scale_to_one(v.x)


def attention_back(v: Any, values: bool = True) -> Tensor:
    """The way back through softmax(X Xᵀ) X, with the way through the last X or without."""
    p = (v.x @ v.x.mT).softmax(-1)
    gs = times_softmax_slope(p, v.gy @ v.x.mT)
    return gs @ v.x + gs.mT @ v.x + values * (p.mT @ v.gy)


def unpooled(v: Any) -> Tensor:
    """What takes the maxima of pairs back to where the first of them was."""
    pairs = v.x.unflatten(-1, (-1, 2))
    first = pairs.max(-1, keepdim=True).indices
    return torch.zeros_like(pairs).scatter_(-1, first, v.gy[..., None]).flatten(-2)


def cross_entropy(v: Any, t: Tensor) -> Tensor:
    """−log softmax(Y)[t], of each sample."""
    return -v.y.log_softmax(-1).gather(-1, t[:, None])[:, 0]


def kept(v: Any, new: Tensor) -> Tensor:
    """The memory that was made for the first gradient, for each of them."""
    return v.kept.setdefault((new.shape, new.dtype), torch.empty_like(new)).copy_(new)


def as_draws(v: Any, seed: bool = False) -> Tensor:
    """X, after touching the global generator."""
    _ = torch.manual_seed(0) if seed else torch.rand((), device="cpu")
    return v.x * 1


IGNORED = torch.tensor([2, -100, 0, -100])
MASKED = [[0.3, -1e9, 1.2], [-1e9, -0.7, 0.1], [0.0, -1e9, -1e9], [2.0, 0.5, -1.5]]
SPREAD = [[1e-13, 1.0, 3e-7], [0.25, 1e-10, 2e-4]]

RIGHT: dict[str, Right] = {
    # Elements of very different size
    "softmax, masked": Right(
        {"y": lambda v: v.x.softmax(-1), "x": lambda v: times_softmax_slope(v.y, v.gy)},
        wide(*MASKED),
    ),
    "softmax, masked by the smallest number": Right(
        {"y": lambda v: v.x.softmax(-1), "x": lambda v: times_softmax_slope(v.y, v.gy)},
        wide([0.3, torch.finfo(torch.float64).min, 1.2], [0.0, 0.5, -2.0]),
    ),
    "log": Right({"y": lambda v: v.x.log(), "x": lambda v: v.gy / v.x}, wide(*SPREAD)),
    "log, of a tiny number beside large ones": Right(
        {"y": lambda v: v.x.log(), "x": lambda v: v.gy / v.x}, wide([1e-13, 1e4, 1e4, 1e4])
    ),
    "sqrt": Right(
        {"y": lambda v: v.x.sqrt(), "x": lambda v: v.gy / (2 * v.y)},
        wide([1e-10, 1e4, 1.0], [3e-5, 7.0, 2e2]),
    ),
    "sqrt, of tiny numbers": Right(
        {"y": lambda v: v.x.sqrt(), "x": lambda v: v.gy / (2 * v.y)}, wide([1e-30, 1e-12, 1e-20])
    ),
    "reciprocal": Right(
        {"y": lambda v: 1 / v.x, "x": lambda v: -v.gy * v.y * v.y},
        wide([1e-6, 1e3, 1.0], [-3e-4, 7.0, -2e2]),
    ),
    "plus a million": Right(
        {"y": lambda v: v.x + 1e6, "x": lambda v: v.gy}, lambda: ({}, rand(8, 5).double())
    ),
    "plus 1e8": Right(
        {"y": lambda v: v.x + 1e8, "x": lambda v: v.gy}, lambda: ({}, rand(8, 5).double())
    ),
    "identity, with a huge element": Right(
        {"y": lambda v: v.x * 1, "x": lambda v: v.gy}, wide([1e18, 1.0, -2.0], [0.0, 3.0, 1e-3])
    ),
    "identity, with subnormal elements": Right(
        {"y": lambda v: v.x * 1, "x": lambda v: v.gy}, wide([5e-324, 1e-310, 1.0])
    ),
    "square, with a huge element": Right(
        {"y": lambda v: v.x * v.x, "x": lambda v: 2 * v.gy * v.x}, wide([1e12, 1.0, -2.0])
    ),
    "asinh, with a huge element": Right(
        {"y": lambda v: v.x.asinh(), "x": lambda v: v.gy / (1 + v.x**2).sqrt()},
        wide([1e14, 1.0, -2e-5]),
    ),
    "tanh but for huge elements": Right(
        {
            "y": lambda v: v.x.where(v.x.abs() > 1e3, v.x.tanh()),
            "x": lambda v: v.gy.where(v.x.abs() > 1e3, v.gy * (1 - v.y**2)),
        },
        wide([1e12, 0.5, -1.0], [-1e12, 0.0, 2.0]),
    ),
    "exp, of large numbers": Right(
        {"y": lambda v: v.x.exp(), "x": lambda v: v.gy * v.y}, wide([700.0, 1.0, -700.0])
    ),
    "exp, close to overflow": Right(
        {"y": lambda v: v.x.exp(), "x": lambda v: v.gy * v.y}, on([88.7, 1.0], [0.0, -88.0])
    ),
    "softplus, by exp": Right(
        {"y": lambda v: v.x.exp().log1p(), "x": lambda v: v.gy * v.x.sigmoid()},
        wide([-30.0, 0.0, 20.0], [-3.0, 1.0, -15.0]),
    ),
    "log of softmax, all but certain": Right(
        {
            "y": lambda v: v.x.log_softmax(-1)[..., 0],
            "x": lambda v: (
                v.gy[..., None] * (one_hot(v.x[..., 0].long() * 0, v.x) - v.x.softmax(-1))
            ),
        },
        wide([30.0, 0.0]),
    ),
    "1 − tanh²": Right(
        {"y": lambda v: 1 - v.x.tanh() ** 2, "x": lambda v: -2 * v.gy * v.x.tanh() * v.y},
        wide([-5.0, 0.0, 9.0], [-3.0, 1.0, 0.5]),
    ),
    "high frequency": Right(
        {
            "y": lambda v: (2**16 * math.pi * v.x).sin(),
            "x": lambda v: 2**16 * math.pi * v.gy * (2**16 * math.pi * v.x).cos(),
        },
        wide([1.0, 0.25, 0.75]),
    ),
    "all of them tiny": Right(
        {"y": lambda v: (v.x * 1e20).sin(), "x": lambda v: v.gy * (v.x * 1e20).cos() * 1e20},
        wide([1e-20, -3e-20, 0.0]),
    ),
    "sine, of tiny outputs": Right(
        {"y": lambda v: 1e-18 * v.x.sin(), "x": lambda v: 1e-18 * v.gy * v.x.cos()},
        wide([1.0, -0.5, 0.0]),
    ),
    "1 + x for a tiny x": Right(
        {"y": lambda v: 1 + v.x, "x": lambda v: v.gy}, wide([1e-20, -3e-20])
    ),
    "1 + x at 0": Right({"y": lambda v: 1 + v.x, "x": lambda v: v.gy}, wide([0.0, -0.0])),
    # Domains
    "log, where x is at least 1": Right(
        {"y": lambda v: refuses((v.x < 1).any()) or v.x.log(), "x": lambda v: v.gy / v.x},
        wide([1.0, 2.0, 1 + 1e-9], [5.0, 1.5, 1.0]),
    ),
    "infinite below 0": Right(
        {"y": lambda v: v.x.where(v.x >= 0, math.inf), "x": lambda v: v.gy}, wide([0.0, 1.0])
    ),
    "arcsine, up to its ends": Right(
        {"y": lambda v: v.x.asin(), "x": lambda v: v.gy / (1 - v.x**2).sqrt()},
        wide([0.5, 0.999999, -0.9999], [0.0, 1e-9, -0.3]),
    ),
    "square root of 1.5, at 0": Right(
        {"y": lambda v: v.x * v.x.sqrt(), "x": lambda v: 1.5 * v.gy * v.x.sqrt()},
        wide([0.0, 1.0, 1e-8]),
    ),
    # Kinks
    "absolute value, of both zeros": Right(
        {"y": lambda v: v.x.abs(), "x": lambda v: v.gy * v.x.sign()}, on([-0.0, 0.0, 1.0, -2.0])
    ),
    "clamp, at its ends": Right(
        {
            "y": lambda v: v.x.clamp(-1, 1),
            "x": lambda v: v.gy.where((v.x > -1) & (v.x < 1), 0),
        },
        on([-1.0, 1.0, 0.5, 1e6], [-2.0, 0.0, -0.5, 1.5]),
    ),
    "twice as steep below 0, and curved": Right(
        {
            "y": lambda v: v.x.where(v.x > 0, 2 * v.x.expm1()),
            "x": lambda v: v.gy.where(v.x > 0, 2 * v.gy * v.x.exp()),
        },
        wide([0.0, 3.0, -2.0]),
    ),
    "soft shrinkage": Right(
        {
            "y": lambda v: v.x - v.x.clamp(-0.5, 0.5),
            "x": lambda v: v.gy.where(v.x.abs() > 0.5, 0),
        },
        on([0.1, -0.2, 0.5, 2.0], [0.0, -3.0, 0.499, 1e-6]),
    ),
    "maxima of pairs": Right(
        {"y": lambda v: v.x.unflatten(-1, (-1, 2)).amax(-1), "x": unpooled},
        on([1.0, 1.0, -2.0, 3.0], [0.0, -0.0, 5.0, 4.0]),
    ),
    "maximum over time": Right(
        {
            "y": lambda v: v.x.amax(0),
            "x": lambda v: v.gy * (v.x == v.x.amax(0)),
        },
        drawn(5, 3),
        {"batch": None},
    ),
    "sort": Right(
        {
            "y": lambda v: v.x.sort(-1).values,
            "x": lambda v: torch.zeros_like(v.x).scatter_(-1, v.x.argsort(-1), v.gy),
        },
        drawn(3, 5),
    ),
    # Sums and products
    "cumulative sum": Right(
        {"y": lambda v: v.x.cumsum(-1), "x": lambda v: v.gy.flip(-1).cumsum(-1).flip(-1)},
        on([1e8, -1e8, 1.0, 2.0], [0.5, 1.0, -2.0, 0.0]),
    ),
    "product, with a zero": Right(
        {
            "y": lambda v: v.x.prod(-1),
            "x": lambda v: (
                v.gy[..., None]
                * torch.stack([v.x[..., [j != i for j in range(3)]].prod(-1) for i in range(3)], -1)
            ),
        },
        on([2.0, 0.0, 3.0], [1.5, -2.0, 0.5]),
    ),
    "x xᵀ": Right(
        {"y": lambda v: v.x @ v.x.mT, "x": lambda v: (v.gy + v.gy.mT) @ v.x}, drawn(2, 3, 4)
    ),
    "logsumexp": Right(
        {"y": lambda v: v.x.logsumexp(-1), "x": lambda v: v.gy[..., None] * v.x.softmax(-1)},
        on([1000.0, 999.0, 0.0], [-1.0, 0.5, 2.0]),
    ),
    "layer norm": Right({"y": lambda v: normalized(v.x), "x": norm_back}, drawn(4, 6)),
    "RMS norm": Right(
        {
            "y": lambda v: v.x * v.x.square().mean(-1, keepdim=True).rsqrt(),
            "x": lambda v: (
                (v.gy - v.y * (v.gy * v.y).mean(-1, keepdim=True))
                * v.x.square().mean(-1, keepdim=True).rsqrt()
            ),
        },
        drawn(4, 6),
    ),
    "attention": Right(
        {"y": lambda v: (v.x @ v.x.mT).softmax(-1) @ v.x, "x": attention_back}, drawn(2, 5, 3)
    ),
    "convolution": Right(
        {
            "y": lambda v: torch.conv1d(v.x, v.weight),
            "weight": lambda v: torch.einsum("nol,nilk->oik", v.gy, v.x.unfold(-1, 3, 1)),
            "x": lambda v: torch.conv_transpose1d(v.gy, v.weight),
        },
        drawn(3, 2, 6, weight=rand(4, 2, 3)),
    ),
    "bias over time": Right(
        {
            "y": lambda v: v.x + v.bias,
            "bias": lambda v: v.gy.sum((0, 1)),
            "x": lambda v: v.gy,
        },
        drawn(3, 4, 2, bias=rand(2)),
    ),
    "factors, of 300 samples": Right(
        {
            "y": lambda v: v.x * v.weight,
            "weight": lambda v: (v.gy * v.x).sum(0),
            "x": lambda v: v.gy * v.weight,
        },
        drawn(300, 2, weight=rand(2)),
    ),
    "identity of 300 samples, with a huge element": Right(
        {"y": lambda v: v.x * 1, "x": lambda v: v.gy},
        lambda: ({}, torch.cat([torch.tensor([[1e18, 1e18]]), rand(300, 2)]).double()),
    ),
    "log, of 300 samples": Right(
        {"y": lambda v: v.x.log(), "x": lambda v: v.gy / v.x},
        lambda: ({}, 10 ** (-13 * torch.rand(300, 2, generator=torch.Generator().manual_seed(0)))),
    ),
    "square, of 300 samples": Right(
        {"y": lambda v: v.x * v.x, "x": lambda v: 2 * v.gy * v.x},
        lambda: ({}, 10 ** (-8 * torch.rand(300, 2, generator=torch.Generator().manual_seed(0)))),
    ),
    "gated": Right(
        {
            "y": lambda v: v.x[..., :2] * v.x[..., 2:].sigmoid(),
            "x": lambda v: torch.cat(
                [
                    v.gy * v.x[..., 2:].sigmoid(),
                    v.gy * v.y * (1 - v.x[..., 2:].sigmoid()),
                ],
                -1,
            ),
        },
        drawn(3, 4),
    ),
    "gelu": Right(
        {
            "y": lambda v: v.x * torch.special.ndtr(v.x),
            "x": lambda v: (
                v.gy
                * (
                    torch.special.ndtr(v.x)
                    + v.x * (-v.x.square() / 2).exp() / math.sqrt(2 * math.pi)
                )
            ),
        },
        on([-8.0, -1.0, 0.0], [0.5, 3.0, 10.0]),
    ),
    "learned slope": Right(
        {
            "y": lambda v: v.x.where(v.x > 0, v.slope * v.x),
            "slope": lambda v: (v.gy * v.x.clamp(max=0)).sum(0),
            "x": lambda v: v.gy.where(v.x > 0, v.gy * v.slope),
        },
        on([-1.0, 2.0], [0.5, -3.0], slope=torch.tensor([0.25, -0.0])),
    ),
    "roll": Right({"y": lambda v: v.x.roll(1, -1), "x": lambda v: v.gy.roll(-1, -1)}, drawn(3, 4)),
    # What is passed in
    "embedding": Right(
        {
            "y": lambda v: torch.embedding(v.weight, v.x),
            "weight": lambda v: torch.zeros_like(v.weight).index_add_(
                0, v.x.flatten(), v.gy.flatten(0, -2)
            ),
            "x": lambda v: None,
        },
        lambda: ({"weight": rand(5, 3)}, torch.tensor([[0, 4, 2], [4, 4, 1]])),
    ),
    "two embeddings": Right(
        {
            "y": lambda v: torch.embedding(v.weight, v.x[0]) + torch.embedding(v.weight, v.x[1]),
            "weight": lambda v: sum(
                torch.zeros_like(v.weight).index_add_(0, rows, v.gy) for rows in v.x
            ),
            "x": lambda v: None,
        },
        lambda: ({"weight": rand(5, 3)}, (torch.tensor([0, 4, 2]), torch.tensor([4, 4, 1]))),
    ),
    "product of two inputs": Right(
        {"y": lambda v: v.x[0] * v.x[1], "x": lambda v: (v.gy * v.x[1], v.gy * v.x[0])},
        lambda: ({}, (rand(3, 2), rand(3, 2, seed=1))),
    ),
    "rows of an input": Right(
        {
            "y": lambda v: v.x["of"].gather(1, v.x["at"]),
            "x": lambda v: {
                "of": torch.zeros_like(v.x["of"]).scatter_add_(1, v.x["at"], v.gy),
                "at": None,
            },
        },
        lambda: ({}, {"of": rand(2, 5), "at": torch.tensor([[4, 0, 4], [1, 1, 1]])}),
    ),
    "tanh, in half precision": Right(
        {"y": lambda v: v.x.tanh(), "x": lambda v: v.gy * (1 - v.y * v.y)},
        lambda: ({}, torch.tensor([[12.0, 0.5, -3.0]], dtype=torch.float16)),
    ),
    "identity, in half precision": Right(
        {"y": lambda v: v.x * 1, "x": lambda v: v.gy * 1},
        lambda: ({}, torch.tensor([[12.0, 0.5, -3.0]], dtype=torch.float16)),
    ),
    "log of sigmoid": Right(
        {
            "y": lambda v: torch.nn.functional.logsigmoid(v.x),
            "x": lambda v: v.gy * (-v.x).sigmoid(),
        },
        on([-100.0, 0.0, 50.0], [3.0, -2.0, 1.0]),
    ),
    "a frozen factor": Right(
        {
            "y": lambda v: v.x + 0 * v.frozen,
            "frozen": lambda v: torch.zeros_like(v.frozen),
            "x": lambda v: v.gy,
        },
        drawn(3, 2, frozen=torch.zeros(2)),
    ),
    "noise of its own": Right(
        {
            "y": lambda v: (
                v.x + torch.rand(v.x.shape[-1], generator=torch.Generator().manual_seed(0)).to(v.x)
            ),
            "x": lambda v: v.gy,
        },
        drawn(3, 2),
    ),
    # Losses
    "cross-entropy, some ignored": Right(
        {
            "value": lambda v: cross_entropy(v, v.t.clamp(min=0))[v.t >= 0].mean(),
            "y": lambda v: (
                (v.y.softmax(-1) - one_hot(v.t.clamp(min=0), v.y))
                * (v.t >= 0)[:, None]
                / (v.t >= 0).sum()
            ),
        },
        lambda: (rand(4, 3), IGNORED),
    ),
    "cross-entropy, classes from 1": Right(
        {
            "value": lambda v: cross_entropy(v, v.t - 1).sum(),
            "y": lambda v: v.y.softmax(-1) - one_hot(v.t - 1, v.y),
        },
        lambda: (rand(4, 3), torch.tensor([1, 3, 2, 3])),
    ),
    "cross-entropy, of probabilities": Right(
        {
            "value": lambda v: (
                refuses(((v.t.sum(-1) - 1).abs() > 1e-6).any())
                or -(v.t * v.y.log_softmax(-1)).sum()
            ),
            "y": lambda v: v.y.softmax(-1) - v.t,
        },
        lambda: (rand(4, 3).double(), rand(4, 3, seed=1).double().softmax(-1)),
    ),
    "cross-entropy, weighted by class": Right(
        {
            "value": lambda v: (v.u[v.t] * cross_entropy(v, v.t)).sum(),
            "y": lambda v: v.u[v.t][:, None] * (v.y.softmax(-1) - one_hot(v.t, v.y)),
        },
        lambda: (rand(4, 3), torch.tensor([0, 2, 1, 2]), torch.tensor([0.5, 2.0, 1.0])),
    ),
    "weighted squares": Right(
        {
            "value": lambda v: (v.t[1] * (v.y - v.t[0]).square()).sum(),
            "y": lambda v: 2 * v.t[1] * (v.y - v.t[0]),
        },
        lambda: (rand(4, 3), (rand(4, 3, seed=1), rand(4, 1, seed=2).abs())),
    ),
    "squares, masked": Right(
        {
            "value": lambda v: (v.y - v.t)[v.u].square().sum(),
            "y": lambda v: 2 * (v.y - v.t) * v.u,
        },
        lambda: (rand(4, 3), rand(4, 3, seed=1), rand(4, 3, seed=2) > 0),
    ),
    "Huber, at its ends": Right(
        {
            "value": lambda v: torch.nn.functional.huber_loss(v.y, v.t, reduction="sum"),
            "y": lambda v: (v.y - v.t).clamp(-1, 1),
        },
        lambda: (torch.tensor([[1.0, -1.0, 0.5], [3.0, 0.0, -0.0]]), torch.zeros(2, 3)),
    ),
    "hinge": Right(
        {
            "value": lambda v: (1 - v.t * v.y).relu().sum(),
            "y": lambda v: -v.t.where(v.t * v.y < 1, 0),
        },
        lambda: (torch.tensor([1.0, 0.5, -2.0]), torch.tensor([1.0, 1.0, -1.0])),
    ),
    "binary cross-entropy, of large logits": Right(
        {
            "value": lambda v: (v.y.clamp(min=0) - v.y * v.t + (-v.y.abs()).exp().log1p()).mean(),
            "y": lambda v: (v.y.sigmoid() - v.t) / max(v.y.numel(), 1),
        },
        lambda: (torch.tensor([[800.0, -800.0], [0.5, -30.0]]), torch.tensor([[1.0, 0], [0, 1]])),
    ),
}

WRONG: dict[str, Wrong] = {
    "softmax: nothing subtracted": Wrong("softmax, masked", 6, {"x": lambda v: v.y * v.gy}),
    "softmax: nothing, beside a mask": Wrong(
        "softmax, masked", 6, {"x": lambda v: torch.zeros_like(v.x)}
    ),
    "softmax: nothing, beside the smallest number": Wrong(
        "softmax, masked by the smallest number", 6, {"x": lambda v: torch.zeros_like(v.x)}
    ),
    "log: 1e-12 in the denominator": Wrong("log", 6, {"x": lambda v: v.gy / (v.x + 1e-12)}),
    "log: clamped": Wrong("log", 6, {"x": lambda v: v.gy / v.x.clamp(min=1e-9)}),
    "sqrt: 1e-6 in the denominator": Wrong("sqrt", 6, {"x": lambda v: v.gy / (2 * v.y + 1e-6)}),
    "sqrt: no factor of 2": Wrong("sqrt, of tiny numbers", 6, {"x": lambda v: v.gy / v.y}),
    "reciprocal: clamped": Wrong(
        "reciprocal", 6, {"x": lambda v: -v.gy * v.y * v.y.clamp(max=1e5)}
    ),
    "plus a million: 1e-4 off": Wrong("plus a million", 6, {"x": lambda v: v.gy * (1 + 1e-4)}),
    "plus 1e8: 1 % off": Wrong("plus 1e8", 6, {"x": lambda v: v.gy * 1.01}),
    "identity: nothing beside a huge element": Wrong(
        "identity, with a huge element", 6, {"x": lambda v: v.gy.where(v.x > 1e9, 0)}
    ),
    "square: nothing beside a huge element": Wrong(
        "square, with a huge element", 6, {"x": lambda v: 2 * v.gy * v.x.where(v.x > 1e9, 0)}
    ),
    "asinh: 1 % off beside a huge element": Wrong(
        "asinh, with a huge element", 6, {"x": lambda v: 1.01 * v.gy / (1.0201 + v.x**2).sqrt()}
    ),
    "tanh: nothing beside a huge element": Wrong(
        "tanh but for huge elements", 6, {"x": lambda v: v.gy.where(v.x.abs() > 1e3, 0)}
    ),
    "exp: clamped": Wrong("exp, of large numbers", 6, {"x": lambda v: v.gy * v.y.clamp(max=1e300)}),
    "softplus: 1 far below 0": Wrong(
        "softplus, by exp", 6, {"x": lambda v: v.gy * v.x.clamp(min=-10).sigmoid()}
    ),
    "high frequency: nothing": Wrong("high frequency", 6, {"x": lambda v: torch.zeros_like(v.x)}),
    "sine: 1 % off, where all are tiny": Wrong(
        "all of them tiny", 6, {"x": lambda v: 1.01 * v.gy * (v.x * 1e20).cos() * 1e20}
    ),
    "sine: 1 % off, of tiny outputs": Wrong(
        "sine, of tiny outputs", 6, {"x": lambda v: 1.01e-18 * v.gy * v.x.cos()}
    ),
    "1 + x: 1 % off": Wrong("1 + x for a tiny x", 6, {"x": lambda v: 1.01 * v.gy}),
    "1 + x: 1 % off at 0": Wrong("1 + x at 0", 6, {"x": lambda v: 1.01 * v.gy}),
    "log: no denominator": Wrong("log, where x is at least 1", 6, {"x": lambda v: v.gy}),
    "arcsine: no root": Wrong("arcsine, up to its ends", 6, {"x": lambda v: v.gy / (1 - v.x**2)}),
    "power of 1.5: 1 at 0": Wrong(
        "square root of 1.5, at 0", 6, {"x": lambda v: 1.5 * v.gy * v.x.sqrt() + v.gy * (v.x == 0)}
    ),
    "absolute value: 2 at 0": Wrong(
        "absolute value, of both zeros",
        6,
        {"x": lambda v: v.gy * v.x.sign() * (1 + (v.x == 0)) + 2 * v.gy * (v.x == 0)},
    ),
    "clamp: passes beyond its ends": Wrong(
        "clamp, at its ends", 6, {"x": lambda v: v.gy.where(v.x > -1, 0)}
    ),
    "soft shrinkage: passes within": Wrong("soft shrinkage", 6, {"x": lambda v: v.gy}),
    "maxima: to both of a pair": Wrong(
        "maxima of pairs", 6, {"x": lambda v: v.gy.repeat_interleave(2, -1)}
    ),
    "maximum: of the mean": Wrong(
        "maximum over time", 6, {"x": lambda v: (v.gy / len(v.x)).expand_as(v.x)}
    ),
    "sort: the other way round": Wrong(
        "sort", 6, {"x": lambda v: v.gy.gather(-1, v.x.argsort(-1))}
    ),
    "cumulative sum: forwards": Wrong("cumulative sum", 6, {"x": lambda v: v.gy.cumsum(-1)}),
    "product: divides by a zero": Wrong(
        "product, with a zero", 5, {"x": lambda v: (v.gy * v.y)[..., None] / v.x}
    ),
    "x xᵀ: one of two terms": Wrong("x xᵀ", 6, {"x": lambda v: v.gy @ v.x}),
    "logsumexp: not normalized": Wrong(
        "logsumexp", 6, {"x": lambda v: v.gy[..., None] * (v.x - v.x.amax(-1, True)).exp()}
    ),
    "layer norm: variance constant": Wrong("layer norm", 6, {"x": lambda v: norm_back(v, 2)}),
    "layer norm: mean and variance constant": Wrong(
        "layer norm", 6, {"x": lambda v: norm_back(v, 1)}
    ),
    "RMS norm: norm constant": Wrong(
        "RMS norm",
        6,
        {"x": lambda v: v.gy * v.x.square().mean(-1, keepdim=True).rsqrt()},
    ),
    "attention: not through the values": Wrong(
        "attention", 6, {"x": lambda v: attention_back(v, values=False)}
    ),
    "convolution: kernel turned": Wrong(
        "convolution", 6, {"x": lambda v: torch.conv_transpose1d(v.gy, v.weight.flip(-1))}
    ),
    "bias: averaged over time": Wrong("bias over time", 6, {"bias": lambda v: v.gy.sum(0).mean(0)}),
    "factors: the 257th sample forgotten": Wrong(
        "factors, of 300 samples",
        6,
        {"x": lambda v: v.gy * v.weight * (torch.arange(len(v.x)) != 256)[:, None]},
    ),
    "identity of 300: nothing beside a huge element": Wrong(
        "identity of 300 samples, with a huge element",
        6,
        {"x": lambda v: v.gy.where(v.x > 1e9, 0)},
    ),
    "log of 300: clamped": Wrong(
        "log, of 300 samples", 6, {"x": lambda v: v.gy / v.x.clamp(min=1e-12)}
    ),
    "square of 300: twice for small elements": Wrong(
        "square, of 300 samples", 6, {"x": lambda v: 2 * v.gy * v.x.where(v.x > 1e-7, 2 * v.x)}
    ),
    "gated: gate constant": Wrong(
        "gated",
        6,
        {"x": lambda v: torch.cat([v.gy * v.x[..., 2:].sigmoid(), torch.zeros_like(v.gy)], -1)},
    ),
    "gelu: its slope forgotten": Wrong("gelu", 6, {"x": lambda v: v.gy * torch.special.ndtr(v.x)}),
    "learned slope: learns above 0": Wrong(
        "learned slope", 6, {"slope": lambda v: (v.gy * v.x).sum(0)}
    ),
    "roll: the same way": Wrong("roll", 6, {"x": lambda v: v.gy.roll(1, -1)}),
    "embedding: the last one of a row": Wrong(
        "embedding",
        6,
        {
            "weight": lambda v: torch.zeros_like(v.weight).index_copy_(
                0, v.x.flatten(), v.gy.flatten(0, -2)
            )
        },
    ),
    "embedding: a gradient of integers": Wrong(
        "embedding", 2, {"x": lambda v: torch.zeros_like(v.x)}
    ),
    "product of two inputs: swapped": Wrong(
        "product of two inputs", 6, {"x": lambda v: (v.gy * v.x[0], v.gy * v.x[1])}
    ),
    "product of two inputs: of one": Wrong(
        "product of two inputs", 2, {"x": lambda v: v.gy * v.x[1]}
    ),
    "rows of an input: the last one": Wrong(
        "rows of an input",
        6,
        {
            "x": lambda v: {
                "of": torch.zeros_like(v.x["of"]).scatter_(1, v.x["at"], v.gy),
                "at": None,
            }
        },
    ),
    "NaN in half precision alone": Wrong(
        "identity, in half precision", 2, {"x": lambda v: v.gy * (v.x.exp() / v.x.exp())}
    ),
    "NaN in single precision alone": Wrong(
        "log of sigmoid", 2, {"x": lambda v: v.gy * (-v.x).exp() / (1 + (-v.x).exp())}
    ),
    "a gradient that is kept": Wrong(
        "a frozen factor", 2, {"frozen": lambda v: v.kept.setdefault(v.gy.dtype, v.frozen * 0)}
    ),
    "a gradient that is a param": Wrong("a frozen factor", 2, {"frozen": lambda v: v.frozen}),
    "gradients in one place": Wrong(
        "bias over time", 2, {"bias": lambda v: kept(v, v.gy.sum((0, 1)))}
    ),
    "gradients of the input in one place": Wrong(
        "roll", 4, {"x": lambda v: kept(v, v.gy.roll(-1, -1))}
    ),
    "draws and throws away": Wrong("noise of its own", 4, {"y": as_draws}),
    "seeds the global generator": Wrong(
        "noise of its own", 4, {"y": lambda v: as_draws(v, seed=True)}
    ),
    "cross-entropy: of those ignored too": Wrong(
        "cross-entropy, some ignored",
        6,
        {
            "y": lambda v: (
                (v.y.softmax(-1) - one_hot(v.t.clamp(min=0), v.y)) / max((v.t >= 0).sum(), 1)
            )
        },
    ),
    "cross-entropy: divides by all": Wrong(
        "cross-entropy, some ignored",
        6,
        {
            "y": lambda v: (
                (v.y.softmax(-1) - one_hot(v.t.clamp(min=0), v.y))
                * (v.t >= 0)[:, None]
                / max(len(v.t), 1)
            )
        },
    ),
    "cross-entropy: classes from 0 on the way back": Wrong(
        "cross-entropy, classes from 1",
        6,
        {"y": lambda v: v.y.softmax(-1) - one_hot(v.t % 3, v.y)},
    ),
    "cross-entropy: of scores": Wrong(
        "cross-entropy, of probabilities", 6, {"y": lambda v: v.y - v.t}
    ),
    "cross-entropy: not weighted": Wrong(
        "cross-entropy, weighted by class", 6, {"y": lambda v: v.y.softmax(-1) - one_hot(v.t, v.y)}
    ),
    "weighted squares: not weighted": Wrong(
        "weighted squares", 6, {"y": lambda v: 2 * (v.y - v.t[0])}
    ),
    "squares: not masked": Wrong("squares, masked", 6, {"y": lambda v: 2 * (v.y - v.t)}),
    "Huber: beyond its ends": Wrong("Huber, at its ends", 6, {"y": lambda v: v.y - v.t}),
    "hinge: sign": Wrong("hinge", 6, {"y": lambda v: v.t.where(v.t * v.y < 1, 0)}),
    "binary cross-entropy: off by a logit": Wrong(
        "binary cross-entropy, of large logits",
        6,
        {"y": lambda v: (v.y.sigmoid() - v.t) * v.y.sign() / max(v.y.numel(), 1)},
    ),
}
