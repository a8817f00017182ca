"""Slips of one line in layers and losses, each with the property of `check_vjp` that it breaks.

And, at the end, right ones.

A layer or loss is written as its lines: y (or value), the forward pass, and one for each gradient,
under the name of what it is the gradient of. A fault is a right one with one line replaced. The
lines see, as attributes, params, input, output, cotangent and `kept`, memory beyond the closure.
"""

import math
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

import functional_dl as fdl

Line = Callable[[Any], Any]


def layer(**lines: Line) -> fdl.Layer:
    """A layer of these lines; `apply` and `returns` may replace what follows from the others."""
    kept: dict[str, Any] = {}

    def values(params: fdl.Params, x: Tensor) -> SimpleNamespace:
        return SimpleNamespace(**params, x=x, kept=kept)

    def vjp(params: fdl.Params, x: Tensor) -> Any:
        v = values(params, x)
        v.y = lines["y"](v)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Any:
            v.gy, v.wrt_input = gy, wrt_input
            v.grads = {name: lines[name](v) for name in params}
            v.gx = lines["x"](v) if wrt_input else None
            return lines.get("returns", lambda v: (v.grads, v.gx))(v)

        return v.y, pullback

    def apply(params: fdl.Params, x: Tensor) -> Tensor:
        return lines.get("apply", lines["y"])(values(params, x))

    return fdl.Layer(lambda *_, **__: {}, apply, vjp)


def affine(**slip: Line) -> fdl.Layer:
    """Y = X Wᵀ + b, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: torch.addmm(v.bias, v.x, v.weight.t()),
        "weight": lambda v: v.gy.t() @ v.x,
        "bias": lambda v: v.gy.sum(0),
        "x": lambda v: v.gy @ v.weight,
    }
    return layer(**right | slip)


def stacked(**slip: Line) -> fdl.Layer:
    """An affine map, but for a slip, under the path 0.1."""
    return fdl.sequential(fdl.sequential(fdl.relu(), affine(**slip)))


def relu(**slip: Line) -> fdl.Layer:
    """Y = max(X, 0), but for a slip."""
    return layer(**{"y": lambda v: v.x.relu(), "x": lambda v: v.gy.where(v.y > 0, 0)} | slip)


def leaky_relu(**slip: Line) -> fdl.Layer:
    """Y = X where X is positive, else X / 10, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: v.x.where(v.x > 0, v.x * 0.1),
        "x": lambda v: v.gy.where(v.x > 0, v.gy * 0.1),
    }
    return layer(**right | slip)


def silu(**slip: Line) -> fdl.Layer:
    """Y = X ⊙ S, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: v.x * v.x.sigmoid(),
        "x": lambda v: v.gy * (v.x.sigmoid() + v.y * (1 - v.x.sigmoid())),
    }
    return layer(**right | slip)


def gelu(**slip: Line) -> fdl.Layer:
    """Y = X ⊙ Φ, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: v.x * torch.special.ndtr(v.x),
        "x": lambda v: v.gy * (torch.special.ndtr(v.x) + v.x * density(v.x)),
    }
    return layer(**right | slip)


def density(x: Tensor) -> Tensor:
    """Of the normal distribution."""
    return (-x * x / 2).exp() / math.sqrt(2 * math.pi)


def flatten(**slip: Line) -> fdl.Layer:
    """Y = X, with the dimensions of each sample in one, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: v.x.flatten(1),
        "x": lambda v: v.gy.reshape(v.x.shape),
    }
    return layer(**right | slip)


def convolution(**slip: Line) -> fdl.Layer:
    """Y[n, o] = b[o] + Σ W[o, c] ∗ X[n, c], of images, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: torch.conv2d(v.x, v.weight, v.bias, padding=1),
        "weight": filters,
        "bias": lambda v: v.gy.sum((0, 2, 3)),
        "x": lambda v: torch.conv_transpose2d(v.gy, v.weight, padding=1),
    }
    return layer(**right | slip)


def filters(v: Any, padding: int = 1) -> Tensor:
    """The gradient of a convolution's."""
    padded = torch.constant_pad_nd(v.x, [padding, 2 - padding] * 2)
    windows = padded.unfold(2, v.gy.shape[2], 1).unfold(3, v.gy.shape[3], 1)
    return torch.einsum("ncijpq,nopq->ocij", windows, v.gy)


def pooling(**slip: Line) -> fdl.Layer:
    """The largest of each window of two by two, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: torch.max_pool2d(v.x, 2),
        "x": lambda v: upsampled(v.gy) * (v.x == upsampled(v.y)),
    }
    return layer(**right | slip)


def upsampled(y: Tensor) -> Tensor:
    """Each pixel as four."""
    return y.repeat_interleave(2, -1).repeat_interleave(2, -2)


def norm(**slip: Line) -> fdl.Layer:
    """Y = N ⊙ w + b, with rows N of mean 0 and variance 1, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: normed(v.x) * v.weight + v.bias,
        "weight": lambda v: (v.gy * normed(v.x)).sum(0),
        "bias": lambda v: v.gy.sum(0),
        "x": lambda v: off(v, "mean", "along") / deviation(v.x),
    }
    return layer(**right | slip)


def deviation(x: Tensor) -> Tensor:
    """Of each row, at least a little."""
    return ((x - x.mean(-1, keepdim=True)).square().mean(-1, keepdim=True) + 1e-5).sqrt()


def normed(x: Tensor) -> Tensor:
    """N."""
    return (x - x.mean(-1, keepdim=True)) / deviation(x)


def off(v: Any, *terms: str) -> Tensor:
    """∇N less these of its two other terms."""
    n, gn = normed(v.x), v.gy * v.weight
    all_terms = {
        "mean": gn.mean(-1, keepdim=True),
        "along": n * (gn * n).mean(-1, keepdim=True),
    }
    return gn - sum(all_terms[k] for k in terms)


def softmax(**slip: Line) -> fdl.Layer:
    """Y = exp(X) over its sum in each row, but for a slip."""
    right: dict[str, Line] = {
        "y": lambda v: v.x.softmax(-1),
        "x": lambda v: v.y * (v.gy - (v.gy * v.y).sum(-1, keepdim=True)),
    }
    return layer(**right | slip)


def tanh(**slip: Line) -> fdl.Layer:
    """Y = tanh(X), but for a slip."""
    return layer(**{"y": lambda v: v.x.tanh(), "x": lambda v: v.gy * (1 - v.y * v.y)} | slip)


def loss(**lines: Line) -> fdl.Loss:
    """A loss of these lines: value, and y."""
    kept: dict[str, Any] = {}

    def vjp(y: Tensor, t: Tensor) -> Any:
        v = SimpleNamespace(y=y, t=t, kept=kept, n=max(y.numel(), 1))
        return lines["value"](v), lambda: lines["y"](v)

    return fdl.Loss(lambda y, t: vjp(y, t)[0], vjp)


def mse(**slip: Line) -> fdl.Loss:
    """L = ‖Y − T‖² / n, but for a slip."""
    right: dict[str, Line] = {
        "value": lambda v: (v.y - v.t).square().mean(),
        "y": lambda v: (v.y - v.t) * (2 / v.n),
    }
    return loss(**right | slip)


def l1(**slip: Line) -> fdl.Loss:
    """L = Σ |Y − T| / n, but for a slip."""
    right: dict[str, Line] = {
        "value": lambda v: (v.y - v.t).abs().mean(),
        "y": lambda v: (v.y - v.t).sign() / v.n,
    }
    return loss(**right | slip)


def huber(**slip: Line) -> fdl.Loss:
    """½(Y − T)² up to 1, and |Y − T| − ½ beyond it, on average, but for a slip."""
    right: dict[str, Line] = {
        "value": lambda v: torch.nn.functional.huber_loss(v.y, v.t),
        "y": lambda v: (v.y - v.t).clamp(-1, 1) / v.n,
    }
    return loss(**right | slip)


def bce_with_logits(**slip: Line) -> fdl.Loss:
    """L = Σ (log(1 + exp(Y)) − Y ⊙ T) / n, but for a slip."""
    right: dict[str, Line] = {
        "value": lambda v: (torch.nn.functional.softplus(v.y) - v.y * v.t).mean(),
        "y": lambda v: (v.y.sigmoid() - v.t) / v.n,
    }
    return loss(**right | slip)


def cross_entropy(**slip: Line) -> fdl.Loss:
    """L = −Σ log softmax(Y)_T / N, but for a slip."""
    right: dict[str, Line] = {
        "value": lambda v: -v.y.log_softmax(1).gather(1, v.t[:, None]).mean(),
        "y": lambda v: (v.y.softmax(1) - at_target(v)) / max(len(v.y), 1),
    }
    return loss(**right | slip)


def at_target(v: Any) -> Tensor:
    """1 at the class of each sample, 0 elsewhere."""
    return torch.zeros_like(v.y).scatter(1, v.t[:, None], 1)


class Fault(NamedTuple):
    """A kind of layer or loss with a slip, checked for samples of `features`."""

    breaks: int
    kind: Callable[..., fdl.Layer | fdl.Loss]
    slip: dict[str, Line]
    samples: int = 4
    features: int = 3

    def broken(self) -> fdl.Layer | fdl.Loss:
        """A new one, with nothing kept."""
        return self.kind(**self.slip)

    def primals(self) -> tuple[Any, Tensor]:
        """Primals that show it: always the same; the first element of the input is 0."""
        g = torch.Generator().manual_seed(0)
        x = torch.randn(self.samples, self.features, generator=g)
        x[0, 0] = 0
        if self.kind in (mse, l1, huber, bce_with_logits):
            return 2 * x, x.flip(0) * x.sign()
        if self.kind is cross_entropy:
            return x, torch.arange(self.samples) % self.features
        if self.kind in (convolution, pooling, flatten):
            images = torch.randn(self.samples, 2, 4, 4, generator=g)
            return fdl.conv2d(2, 2, 3).init(g) if self.kind is convolution else {}, images
        out = self.features if self.samples == self.features else 2
        params = fdl.linear(self.features, out).init(g) if self.kind in (affine, stacked) else {}
        if self.kind is norm:
            params = {"weight": torch.randn(3, generator=g), "bias": torch.randn(3, generator=g)}
        return {"0": {"0": {}, "1": params}} if self.kind is stacked else params, x


def one_percent(grad: Tensor) -> Tensor:
    """Off by 1 % in the last element."""
    grad = grad.clone()
    grad.view(-1)[-1:] *= 1.01
    return grad


def dense(x: Tensor) -> Tensor:
    """Reads x as if it were contiguous."""
    return x.as_strided(x.shape, (x.shape[1], 1))


def mse_at_zero(v: Any, value: float) -> Tensor:
    """The right gradient, but for a value where the error is 0."""
    return ((v.y - v.t) * (2 / v.n)).masked_fill(v.y == v.t, value)


def count(v: Any, what: str) -> int:
    """How often it has been asked, this time included."""
    v.kept[what] = v.kept.get(what, 0) + 1
    return v.kept[what]


def whole(x: Tensor) -> Tensor:
    """All that x's memory holds."""
    return x.as_strided((x.untyped_storage().nbytes() // x.element_size(),), (1,), 0)


FAULTS: dict[str, Fault] = {
    # Signs, factors, axes
    "linear: weight's sign": Fault(6, affine, {"weight": lambda v: v.gy.t() @ -v.x}),
    "linear: bias's sign": Fault(6, affine, {"bias": lambda v: -v.gy.sum(0)}),
    "linear: input's factor": Fault(6, affine, {"x": lambda v: 2 * v.gy @ v.weight}),
    "linear: weight averaged": Fault(
        6, affine, {"weight": lambda v: v.gy.t() @ v.x / max(len(v.x), 1)}
    ),
    "linear: bias averaged": Fault(6, stacked, {"bias": lambda v: v.gy.sum(0) / 4}),
    "linear: bias summed over features": Fault(6, affine, {"bias": lambda v: v.gy.sum(1)}, 3, 3),
    "linear: bias not summed": Fault(2, affine, {"bias": lambda v: v.gy}),
    "linear: bias keeps a dimension": Fault(2, affine, {"bias": lambda v: v.gy.sum(0, True)}),
    "linear: weight transposed": Fault(2, affine, {"weight": lambda v: v.x.t() @ v.gy}),
    "linear: square weight transposed": Fault(
        6, affine, {"weight": lambda v: v.x.t() @ v.gy}, 3, 3
    ),
    "linear: input by Wᵀ": Fault(6, affine, {"x": lambda v: v.gy @ v.weight.t()}, 3, 3),
    # Zero, lost, off a little
    "linear: bias detached": Fault(6, affine, {"bias": lambda v: torch.zeros_like(v.bias)}),
    "linear: weight detached": Fault(6, stacked, {"weight": lambda v: torch.zeros_like(v.weight)}),
    "linear: input detached": Fault(6, affine, {"x": lambda v: torch.zeros_like(v.x)}),
    "linear: added bias thrown away": Fault(
        6, affine, {"y": lambda v: (v.x @ v.weight.t(), v.x @ v.weight.t() + v.bias)[0]}
    ),
    "linear: bias added twice": Fault(
        6, affine, {"y": lambda v: torch.addmm(v.bias, v.x, v.weight.t()) + v.bias}
    ),
    "linear: 1 % off in one element": Fault(
        6, affine, {"weight": lambda v: one_percent(v.gy.t() @ v.x)}
    ),
    "linear: 1 % off in one of 4,096": Fault(
        6, affine, {"weight": lambda v: one_percent(v.gy.t() @ v.x)}, 64, 64
    ),
    "relu: 1 % off in one of 4,096": Fault(
        6, relu, {"x": lambda v: one_percent(v.gy.where(v.y > 0, 0))}, 64, 64
    ),
    # Structure
    "linear: no gradient of the bias": Fault(
        2, affine, {"returns": lambda v: ({"weight": v.grads["weight"]}, v.gx)}
    ),
    "linear: gradients in a list": Fault(
        2, affine, {"returns": lambda v: ([*v.grads.values()], v.gx)}
    ),
    "linear: no gradient of the input": Fault(2, affine, {"returns": lambda v: (v.grads, None)}),
    "linear: one gradient in float64": Fault(2, affine, {"bias": lambda v: v.gy.sum(0).double()}),
    "linear: other gradients without the input's": Fault(
        2, affine, {"bias": lambda v: v.gy.sum(0) * v.wrt_input}
    ),
    "linear: the cotangent itself, of a batch of one": Fault(
        2, affine, {"bias": lambda v: v.gy[0] if len(v.gy) == 1 else v.gy.sum(0)}, 1
    ),
    "tanh: a gradient of the input in any case": Fault(
        2, tanh, {"returns": lambda v: (v.grads, v.gy * (1 - v.y * v.y))}
    ),
    # The value
    "tanh: apply by another formula": Fault(
        1, tanh, {"apply": lambda v: 1 - 2 / ((2 * v.x).exp() + 1)}
    ),
    "tanh: apply forgets it": Fault(1, tanh, {"apply": lambda v: v.x}),
    "tanh: by exponentials that overflow": Fault(
        1, tanh, {"y": lambda v: (1e3 * v.x).exp() / (1e3 * v.x).exp()}
    ),
    "tanh: noise": Fault(1, tanh, {"y": lambda v: v.x.tanh() + torch.rand(())}),
    # Mutations
    "relu: in place": Fault(3, relu, {"y": lambda v: v.x.relu_()}),
    "relu: mask in place on the cotangent": Fault(
        3, relu, {"x": lambda v: v.gy.masked_fill_(v.y <= 0, 0)}
    ),
    "linear: weight decays in the forward pass": Fault(
        3, affine, {"y": lambda v: torch.addmm(v.bias, v.x, v.weight.mul_(0.999).t())}
    ),
    "linear: learns on the way back": Fault(
        3, affine, {"bias": lambda v: (v.gy.sum(0), v.bias.sub_(v.gy.sum(0), alpha=0.1))[0]}
    ),
    # Memory
    "tanh: the residual of the last call": Fault(
        4,
        tanh,
        {
            "y": lambda v: v.kept.update(y=v.x.tanh()) or v.kept["y"],
            "x": lambda v: v.gy * (1 - v.kept["y"] ** 2),
        },
    ),
    "tanh: the residual of the first call": Fault(
        6, tanh, {"x": lambda v: v.gy * (1 - v.kept.setdefault("y", v.y) ** 2)}
    ),
    "tanh: the residual squared in place": Fault(
        4, tanh, {"x": lambda v: v.gy * (1 - v.y.square_())}
    ),
    "linear: bias accumulates": Fault(
        2, affine, {"bias": lambda v: v.kept.setdefault("b", torch.zeros(2)).add_(v.gy.sum(0))}
    ),
    "tanh: accumulates from one way back to the next": Fault(
        4,
        tanh,
        {"x": lambda v: vars(v).setdefault("sum", v.gy * 0).add_(v.gy * (1 - v.y * v.y))},
    ),
    "tanh: other values from the third call on": Fault(
        4, tanh, {"y": lambda v: v.x.tanh() + (count(v, "y") > 2)}
    ),
    "tanh: other gradients from the second way back on": Fault(
        4, tanh, {"x": lambda v: v.gy * (1 - v.y * v.y) + (count(v, "x") > 1)}
    ),
    "tanh: all outputs in one place": Fault(
        4,
        tanh,
        {
            "y": lambda v: v.kept.setdefault("y", v.x.new_empty(v.x.shape)).copy_(v.x.tanh()),
            "x": lambda v: v.gy * (1 - v.x.tanh() ** 2),
        },
    ),
    "tanh: other applications from the second on": Fault(
        4, tanh, {"apply": lambda v: v.x.tanh() + (count(v, "apply") > 1)}
    ),
    # The cotangent
    "relu: of the cotangent": Fault(5, relu, {"x": lambda v: v.gy.relu() * (v.y > 0)}),
    "relu: gradient clipped": Fault(5, relu, {"x": lambda v: v.gy.clamp(-4, 4) * (v.y > 0)}),
    "tanh: epsilon added": Fault(5, tanh, {"x": lambda v: v.gy * (1 - v.y * v.y) + 1e-8}),
    "tanh: gradient normalised": Fault(
        5, tanh, {"x": lambda v: v.gy * (1 - v.y * v.y) / v.gy.norm().clamp(min=1)}
    ),
    "tanh: the norm taken out and put back in": Fault(
        5, tanh, {"x": lambda v: v.gy / v.gy.norm() * v.gy.norm() * (1 - v.y * v.y)}
    ),
    "tanh: cotangent squared": Fault(5, tanh, {"x": lambda v: v.gy**2 * (1 - v.y * v.y)}),
    "linear: cotangent ignored": Fault(5, affine, {"bias": lambda v: v.bias * 0 + len(v.x)}),
    # Derivatives
    "relu: no mask": Fault(6, relu, {"x": lambda v: v.gy}),
    "relu: mask the wrong way round": Fault(6, relu, {"x": lambda v: v.gy.where(v.y <= 0, 0)}),
    "relu: both sides at 0": Fault(6, relu, {"x": lambda v: v.gy * (v.x >= 0) + v.gy * (v.x == 0)}),
    "relu: NaN at 0": Fault(5, relu, {"x": lambda v: v.gy * v.y / v.x}),
    "tanh: input for output": Fault(6, tanh, {"x": lambda v: v.gy * (1 - v.x * v.x)}),
    "tanh: square forgotten": Fault(6, tanh, {"x": lambda v: v.gy * (1 - v.y)}),
    "tanh: residual in single precision": Fault(
        6, tanh, {"x": lambda v: v.gy * (1 - v.y.float() ** 2).to(v.gy.dtype)}
    ),
    "leaky relu: the slope's square": Fault(
        6, leaky_relu, {"x": lambda v: v.gy.where(v.x > 0, v.gy * 0.01)}
    ),
    "leaky relu: no slope back": Fault(6, leaky_relu, {"x": lambda v: v.gy.where(v.x > 0, 0)}),
    "leaky relu: the wrong way round": Fault(
        6, leaky_relu, {"x": lambda v: v.gy.where(v.x <= 0, v.gy * 0.1)}
    ),
    "silu: the sigmoid alone": Fault(6, silu, {"x": lambda v: v.gy * v.x.sigmoid()}),
    "silu: input for output": Fault(
        6, silu, {"x": lambda v: v.gy * (v.x.sigmoid() + v.x * (1 - v.x.sigmoid()))}
    ),
    "gelu: the distribution alone": Fault(6, gelu, {"x": lambda v: v.gy * torch.special.ndtr(v.x)}),
    "gelu: density without its input": Fault(
        6, gelu, {"x": lambda v: v.gy * (torch.special.ndtr(v.x) + density(v.x))}
    ),
    "gelu: the other form's gradient": Fault(
        6, gelu, {"x": lambda v: fdl.gelu("tanh").vjp({}, v.x)[1](v.gy)[1]}
    ),
    # Of a GPT
    "norm: the mean counts as constant": Fault(
        6, norm, {"x": lambda v: off(v, "along") / deviation(v.x)}
    ),
    "norm: the variance counts as constant": Fault(
        6, norm, {"x": lambda v: off(v, "mean") / deviation(v.x)}
    ),
    "norm: means over samples": Fault(
        6, norm, {"x": lambda v: (off(v, "along") - v.gy.mean(0)) / deviation(v.x)}
    ),
    "norm: the weight by what comes in": Fault(6, norm, {"weight": lambda v: (v.gy * v.x).sum(0)}),
    "norm: the deviation's correction": Fault(
        6, norm, {"x": lambda v: off(v, "mean", "along") / (v.x.std(-1, keepdim=True) + 1e-5)}
    ),
    "softmax: each by itself": Fault(6, softmax, {"x": lambda v: v.y * (1 - v.y) * v.gy}),
    "softmax: coupled over samples": Fault(
        6, softmax, {"x": lambda v: v.y * (v.gy - (v.gy * v.y).sum(0))}
    ),
    "softmax: coupled before the product": Fault(
        6, softmax, {"x": lambda v: v.y * (v.gy - v.gy.mean(-1, keepdim=True))}
    ),
    # Images
    "flatten: channels last on the way back": Fault(
        6, flatten, {"x": lambda v: v.gy.reshape(-1, 4, 4, 2).permute(0, 3, 1, 2)}
    ),
    "flatten: still flat on the way back": Fault(2, flatten, {"x": lambda v: v.gy}),
    "conv2d: filters turned round on the way back": Fault(
        6, convolution, {"x": lambda v: torch.conv2d(v.gy, v.weight.mT.transpose(0, 1), padding=1)}
    ),
    "conv2d: filters' gradient one pixel off": Fault(
        6, convolution, {"weight": lambda v: filters(v, padding=0)}
    ),
    "conv2d: filters' gradient of the first sample": Fault(
        6, convolution, {"weight": lambda v: filters(SimpleNamespace(x=v.x[:1], gy=v.gy[:1]))}
    ),
    "conv2d: bias averaged over pixels": Fault(
        6, convolution, {"bias": lambda v: v.gy.sum(0).mean((1, 2))}
    ),
    "conv2d: channels exchanged": Fault(
        6, convolution, {"weight": lambda v: filters(v).transpose(0, 1)}
    ),
    "max_pool2d: to all of the window": Fault(6, pooling, {"x": lambda v: upsampled(v.gy)}),
    "max_pool2d: shared out": Fault(6, pooling, {"x": lambda v: upsampled(v.gy) / 4}),
    "max_pool2d: to the smallest": Fault(
        6,
        pooling,
        {"x": lambda v: upsampled(v.gy) * (v.x == upsampled(-torch.max_pool2d(-v.x, 2)))},
    ),
    # Layouts and sizes
    "tanh: reads the gaps": Fault(7, tanh, {"y": lambda v: dense(v.x).tanh()}),
    "tanh: adds nothing of the gaps": Fault(
        7, tanh, {"y": lambda v: v.x.tanh() + 0 * whole(v.x).sum(dtype=torch.float64).to(v.x)}
    ),
    "linear: reads the gaps on the way back": Fault(
        7, affine, {"weight": lambda v: v.gy.t() @ dense(v.x)}
    ),
    "linear: reads the cotangent's gaps": Fault(7, affine, {"bias": lambda v: dense(v.gy).sum(0)}),
    "relu: view of a strided input": Fault(
        7, relu, {"y": lambda v: v.x.view(-1).relu().view_as(v.x)}
    ),
    "tanh: forgets the square of a strided input": Fault(
        7, tanh, {"x": lambda v: v.gy * (1 - (v.y * v.y if v.x.is_contiguous() else v.y))}
    ),
    "linear: divides by a batch of none": Fault(
        7, affine, {"bias": lambda v: v.gy.sum(0) * len(v.x) * (1 / len(v.x))}
    ),
    "linear: mean of a batch of none": Fault(
        7, affine, {"bias": lambda v: v.gy.mean(0) * len(v.x)}
    ),
    "linear: first sample of a batch of none": Fault(
        7, affine, {"bias": lambda v: v.gy[0] + v.gy[1:].sum(0)}
    ),
    "linear: squeezes a batch of one": Fault(
        6, affine, {"bias": lambda v: v.gy.squeeze().sum(0).expand(2)}, 1
    ),
    "linear: no bias for a batch of one": Fault(
        6, affine, {"bias": lambda v: v.gy.sum(0) * (len(v.x) != 1)}, 1
    ),
    # Losses
    "mse: N·D there, N back": Fault(6, mse, {"y": lambda v: (v.y - v.t) * 2 / max(len(v.y), 1)}),
    "mse: not averaged back": Fault(6, mse, {"y": lambda v: 2 * (v.y - v.t)}),
    "mse: sum there, mean back": Fault(6, mse, {"value": lambda v: (v.y - v.t).square().sum()}),
    "mse: no factor of 2": Fault(6, mse, {"y": lambda v: (v.y - v.t) / v.n}),
    "mse: sign": Fault(6, mse, {"y": lambda v: (v.t - v.y) * (2 / v.n)}),
    "mse: infinite at 0": Fault(6, mse, {"y": lambda v: mse_at_zero(v, math.inf)}),
    "mse: minus infinity at 0": Fault(6, mse, {"y": lambda v: mse_at_zero(v, -math.inf)}),
    "mse: not reduced": Fault(1, mse, {"value": lambda v: (v.y - v.t).square()}),
    "mse: error in place": Fault(3, mse, {"value": lambda v: v.y.sub_(v.t).square().mean()}),
    "mse: gradient flattened": Fault(2, mse, {"y": lambda v: ((v.y - v.t) * (2 / v.n)).flatten()}),
    "mse: the target of the last call": Fault(
        4,
        mse,
        {
            "value": lambda v: v.kept.update(t=v.t) or (v.y - v.t).square().mean(),
            "y": lambda v: (v.y - v.kept["t"]) * (2 / v.n),
        },
    ),
    "mse: divides by a batch of none": Fault(
        7, mse, {"y": lambda v: (v.y - v.t) * (2 / v.y.numel())}
    ),
    "l1: NaN at 0": Fault(
        6,
        l1,
        {
            "value": lambda v: (v.y - v.t).abs().sum(),
            "y": lambda v: (v.y - v.t) / (v.y - v.t).abs(),
        },
    ),
    "l1: not averaged back": Fault(6, l1, {"y": lambda v: (v.y - v.t).sign()}),
    "l1: 1 where it is off": Fault(6, l1, {"y": lambda v: ((v.y - v.t) != 0).to(v.y) / v.n}),
    "huber: not clamped back": Fault(6, huber, {"y": lambda v: (v.y - v.t) / v.n}),
    "huber: clamped from above alone": Fault(
        6, huber, {"y": lambda v: (v.y - v.t).clamp(max=1) / v.n}
    ),
    "huber: another δ back": Fault(6, huber, {"y": lambda v: (v.y - v.t).clamp(-1.1, 1.1) / v.n}),
    "huber: no half there": Fault(
        6,
        huber,
        {"value": lambda v: ((v.y - v.t).clamp(-1, 1) * (v.y - v.t)).mean()},
    ),
    "bce: no sigmoid back": Fault(6, bce_with_logits, {"y": lambda v: (v.y - v.t) / v.n}),
    "bce: averaged over samples": Fault(
        6, bce_with_logits, {"y": lambda v: (v.y.sigmoid() - v.t) / max(len(v.y), 1)}
    ),
    "bce: probability and target exchanged": Fault(
        6, bce_with_logits, {"y": lambda v: (v.t - v.y.sigmoid()) / v.n}
    ),
    "bce: infinite far from 0": Fault(
        1,
        bce_with_logits,
        {"value": lambda v: -((100 * v.y).sigmoid().log() * v.t).sum()},
    ),
    "cross-entropy: no 1 at the class": Fault(
        6, cross_entropy, {"y": lambda v: v.y.softmax(1) / max(len(v.y), 1)}
    ),
    "cross-entropy: averaged over classes too": Fault(
        6, cross_entropy, {"y": lambda v: (v.y.softmax(1) - at_target(v)) / v.n}
    ),
    "cross-entropy: not averaged back": Fault(
        6, cross_entropy, {"y": lambda v: v.y.softmax(1) - at_target(v)}
    ),
    "cross-entropy: softmax over samples": Fault(
        6, cross_entropy, {"y": lambda v: (v.y.softmax(0) - at_target(v)) / max(len(v.y), 1)}
    ),
    "cross-entropy: the neighbour's class": Fault(
        6,
        cross_entropy,
        {"y": lambda v: (v.y.softmax(1) - at_target(v).roll(1, 0)) / max(len(v.y), 1)},
    ),
    "cross-entropy: labels smoothed there alone": Fault(
        6,
        cross_entropy,
        {"value": lambda v: torch.nn.functional.cross_entropy(v.y, v.t, label_smoothing=1e-3)},
    ),
    "cross-entropy: maximum subtracted in place": Fault(
        3,
        cross_entropy,
        {
            "value": lambda v: (
                -v.y.sub_(v.y.amax(1, keepdim=True)).log_softmax(1).gather(1, v.t[:, None]).mean()
            )
        },
    ),
    "cross-entropy: the classes of the last call": Fault(
        4,
        cross_entropy,
        {
            "value": lambda v: (
                v.kept.update(p=v.y.softmax(1)) or torch.nn.functional.cross_entropy(v.y, v.t)
            ),
            "y": lambda v: (v.kept["p"] - at_target(v)) / max(len(v.y), 1),
        },
    ),
    "cross-entropy: divides by a batch of none": Fault(
        7, cross_entropy, {"y": lambda v: (v.y.softmax(1) - at_target(v)) * (1 / len(v.y))}
    ),
}

RIGHT: dict[str, Callable[[int, int], fdl.Layer | fdl.Loss]] = {
    "linear": lambda a, b: fdl.linear(a, b),
    "linear without bias": lambda a, b: fdl.linear(a, b, bias=False),
    "relu": lambda a, b: fdl.relu(),
    "tanh": lambda a, b: fdl.tanh(),
    "leaky relu": lambda a, b: fdl.leaky_relu(0.1),
    "silu": lambda a, b: fdl.silu(),
    "gelu": lambda a, b: fdl.gelu(),
    "gelu by tanh": lambda a, b: fdl.gelu("tanh"),
    "relu squared": lambda a, b: fdl.relu_squared(),
    "rms norm": lambda a, b: fdl.rms_norm(a),
    "layer norm": lambda a, b: fdl.layer_norm(a),
    "tied": lambda a, b: fdl.tied(
        fdl.sequential(fdl.linear(a, a), fdl.tanh(), fdl.linear(a, a, bias=False)),
        {"2.weight": "0.weight"},
    ),
    "empty": lambda a, b: fdl.sequential(),
    "deep": lambda a, b: fdl.sequential(fdl.linear(a, b), fdl.relu(), fdl.linear(b, 2)),
    "nested": lambda a, b: fdl.sequential(
        fdl.sequential(fdl.linear(a, b, bias=False), fdl.sequential()),
        fdl.sequential(fdl.sequential(fdl.tanh()), fdl.linear(b, a)),
    ),
    "mse": lambda a, b: fdl.mse(),
    "l1": lambda a, b: fdl.l1("sum"),
    "huber": lambda a, b: fdl.huber(a / b),
    "bce_with_logits": lambda a, b: fdl.bce_with_logits(),
    "cross_entropy": lambda a, b: fdl.cross_entropy("sum", ignore_index=a, label_smoothing=b / 8),
    "cross_entropy of all": lambda a, b: fdl.cross_entropy(),
}


def draw_right(rng: Random) -> tuple[fdl.Layer | fdl.Loss, tuple[Any, Tensor]]:
    """A right layer or loss, with primals of any dtype, rank and scale, and some zeros in them."""
    name, a, b = rng.choice(list(RIGHT)), rng.randint(1, 4), rng.randint(1, 4)
    f = RIGHT[name](a, b)
    g = torch.Generator().manual_seed(rng.getrandbits(32))
    shape = [*(rng.randint(0, 4) for _ in range(rng.randint(0, 3))), a]
    x, t = torch.randn(2, *shape, generator=g).mul(rng.choice((1e-3, 1, 30)))
    if name in ("relu", "leaky relu", "mse", "l1"):
        x = x * (t > 0)
    dtype = rng.choice((torch.float32, torch.float64, torch.bfloat16, torch.float16))
    x, t = x.to(dtype), t.to(dtype)
    if name.startswith("cross_entropy"):
        ignored = name == "cross_entropy"
        t = torch.randint(a + ignored, shape[:-1], generator=g)
    return f, (x, t) if isinstance(f, fdl.Loss) else (f.init(g, dtype=dtype), x)
