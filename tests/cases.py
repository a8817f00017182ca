"""One case for each layer, loss and optimizer: ours, PyTorch's, and how to draw what both take.

What holds for all of them is tested over these, and `scripts` proves the bits over these. A new
one costs a case here, and a few values computed by hand in `core/test_values.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call

import functional_dl as fdl
from functional_dl import compat
from functional_dl._numerics import BITS

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
FULL = DTYPES[:2]
SIZES = (0, 1, 1, 2, 3, 5, 8, 17, 33, 64)
SPECIAL = (0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-7, -1e-42, 5e-324)

Network: TypeAlias = tuple[tuple[str, tuple[Any, ...]], ...]
"""Names of layers, each with its arguments."""

Inexact: TypeAlias = Iterator[tuple[str, Tensor, Tensor, Tensor]]
"""What agrees in no bits with PyTorch's own: its name, ours, PyTorch's, and in double precision."""

Triples: TypeAlias = Iterator[tuple[str, Tensor, Tensor]]
"""What must agree in every bit and in its layout: its name, ours and PyTorch's."""


def bits(t: Tensor) -> Tensor:
    """The bits of the numbers, as integers."""
    return t.contiguous().view(BITS[t.element_size()])


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether shapes, dtypes and all bits agree; every NaN is the same NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.is_floating_point() or a.is_complex():
        a, b = (t.masked_fill(t.isnan(), torch.nan) for t in (a, b))
    return torch.equal(bits(a), bits(b))


def steps(t: Tensor) -> list[int]:
    """The strides that are ever taken."""
    return [step for step, size in zip(t.stride(), t.shape, strict=True) if size > 1 and t.numel()]


def laid_out_alike(a: Tensor, b: Tensor) -> bool:
    """Whether their elements lie in memory in the same order, with the same gaps."""
    return steps(a) == steps(b)


def same_trees(a: Any, b: Any) -> bool:
    """Whether two trees have the same keys in the same order, and the same bits."""
    if isinstance(a, dict):
        return [*a] == [*b] and all(same_trees(v, b[k]) for k, v in a.items())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_trees, a, b))
    return same_bits(a, b) if isinstance(a, Tensor) else a == b


class Draw:
    """Draws sizes and tensors, among them what is rare and what is hard.

    Attributes:
        rng: Where all randomness comes from.
        dtype: That of the tensors.
    """

    def __init__(
        self,
        rng: Random,
        dtype: torch.dtype | None = None,
        *,
        finite: bool = False,
        batch: Sequence[int] | None = None,
        sizes: Sequence[int] = SIZES,
    ) -> None:
        """Draws by rng.

        Args:
            rng: The source.
            dtype: One of `DTYPES` is drawn if None.
            finite: Whether to leave out infinities, NaNs and the like.
            batch: What all shapes begin with; up to three sizes are drawn if None.
            sizes: What sizes are drawn from.
        """
        self.rng, self.dtype = rng, dtype or rng.choice(DTYPES)
        self._finite, self._batch, self._sizes = finite, batch, sizes

    def size(self) -> int:
        """How many features there are."""
        return self.rng.choice([size for size in self._sizes if size])

    def batch(self) -> list[int]:
        """The dimensions before the last one."""
        if self._batch is not None:
            return [*self._batch]
        return [self.rng.choice(self._sizes) for _ in range(self.rng.randrange(4))]

    def shape(self) -> list[int]:
        """Any shape, of no dimension too."""
        last = self.rng.choice(self._sizes)
        if self._batch is None and self.rng.randrange(4) == 0:
            return []
        return [*self.batch(), last]

    def tensor(self, *shape: int) -> Tensor:
        """Normal numbers, with special values in one of three, in some layout."""
        rng = self.rng
        generator = torch.Generator().manual_seed(rng.getrandbits(32))
        t = torch.randn(shape, generator=generator, dtype=torch.float64).to(self.dtype)
        if not self._finite and rng.randrange(3) == 0:
            chosen = torch.tensor(SPECIAL, dtype=self.dtype)[
                torch.randint(len(SPECIAL), shape, generator=generator)
            ]
            t = torch.where(torch.rand(shape, generator=generator) < 0.1, chosen, t)
        return self.laid_out(t)

    def classes(self, n: int, *shape: int) -> Tensor:
        """Whole numbers below n, in some layout."""
        generator = torch.Generator().manual_seed(self.rng.getrandbits(32))
        return self.laid_out(torch.randint(n, shape, generator=generator))

    def laid_out(self, t: Tensor) -> Tensor:
        """The same numbers, but where one stands for many, in some layout."""
        rng, shape = self.rng, t.shape
        layout = rng.randrange(5) if shape else 0
        if layout == 1:  # dimensions stored in another order
            order = rng.sample(range(t.dim()), t.dim())
            t = t.permute(order).contiguous().permute([order.index(i) for i in range(t.dim())])
        elif layout == 2:  # with gaps, in which a NaN, or no class, shows who reads them
            steps = [rng.choice((1, 2)) for _ in shape]
            gap = torch.nan if t.is_floating_point() else -1
            wide = t.new_full([2 * size + 2 for size in shape], gap)
            gaps = [slice(1, 1 + s * size, s) for s, size in zip(steps, shape, strict=True)]
            t = wide[tuple(gaps)].copy_(t)
        elif layout == 3:  # one element for a whole dimension
            d = rng.randrange(t.dim())
            t = t.narrow(d, 0, min(shape[d], 1)).expand(*shape)
        return t


def small(seed: int, dtype: torch.dtype = torch.float64) -> Draw:
    """For what takes its time, or needs samples: five of them, with few features."""
    return Draw(Random(seed), dtype, finite=True, batch=(5,), sizes=(1, 2, 3, 4))


def beside_linear(name: str, d: Draw) -> tuple[fdl.Layer, nn.Module, fdl.Params, Tensor]:
    """A layer behind a linear one, or before it if it takes whole numbers; as `LayerCase.drawn`."""
    layer, module, params, x = LAYERS[name].drawn(d)
    y = layer.apply(params, x)
    a = (x if x.is_floating_point() else y).shape[-1]
    linear = fdl.linear(a, a), nn.Linear(a, a), {"weight": d.tensor(a, a), "bias": d.tensor(a)}
    pair = [linear, (layer, module, params)]
    if not x.is_floating_point():
        pair.reverse()
    layers, modules, of_each = zip(*pair, strict=True)
    params = {str(i): p for i, p in enumerate(of_each)}
    return fdl.sequential(*layers), nn.Sequential(*modules), params, x


def copied(t: Tensor) -> Tensor:
    """The tensor as one that is made here, in inference mode if it is on, with the same layout."""
    whole = t.as_strided((t.untyped_storage().nbytes() // t.element_size(),), (1,), 0)
    return whole.clone().as_strided(t.shape, t.stride(), t.storage_offset())


def autograd(f: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, Callable[..., Any]]:
    """f(*inputs), and the pullback to all of these."""
    leaves = [t.detach().requires_grad_() for t in inputs]
    y = f(*leaves)
    return y.detach(), lambda gy=None: torch.autograd.grad(y, leaves, gy)


def trained(rng: Random, x: Tensor, names: Iterable[str]) -> list[str]:
    """The params that PyTorch's twin trains; the others are frozen.

    All, if x has three dimensions or more and isn't contiguous: there, PyTorch takes another
    product for a frozen weight than for one that is trained. All, too, if x holds whole numbers,
    which have no gradient themselves.
    """
    whole = not x.is_floating_point()
    frozen = 0 if whole or (x.dim() > 2 and not x.is_contiguous()) else rng.choice((0, 0.3, 1))
    return [name for name in names if rng.random() >= frozen]


def by_autograd(
    module: nn.Module,
    params: fdl.Params,
    names: Sequence[str],
    x: Tensor,
    gy_of: Callable[[Tensor], Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """The cotangent, and PyTorch's value, gradient of x and gradients of the params so named.

    There is no gradient of an x of whole numbers.
    """
    flat = fdl.to_state_dict(params)
    leaves = {name: flat[name] for name in names}
    if x.is_floating_point():
        leaves = {"gx": x, **leaves}

    def f(*given: Tensor) -> Tensor:
        of = dict(zip(leaves, given, strict=True))
        at = of.pop("gx", x)
        return functional_call(module, flat | of, (at,))

    y, pullback = autograd(f, *leaves.values())
    gy = gy_of(y)
    found = dict(zip(leaves, pullback(gy), strict=True))
    return gy, {"y": y, **{k: g if k == "gx" else own(g, gy) for k, g in found.items()}}


def own(grad: Tensor, gy: Tensor) -> Tensor:
    """The gradient, or a copy where autograd gives the cotangent's memory, which we don't."""
    shared = grad.untyped_storage().data_ptr() == gy.untyped_storage().data_ptr()
    return grad.clone() if shared else grad


def no_args(d: Draw, shape: Sequence[int]) -> tuple[Any, ...]:
    """For constructors that take nothing."""
    return ()


def any_shape(d: Draw) -> list[int]:
    """For layers that work on each element."""
    return d.shape()


def features(d: Draw) -> list[int]:
    """For layers that take vectors, of at least one number."""
    return [*d.batch(), d.size()]


class Residual(nn.Sequential):
    """X + f(X), where autograd is to sum the gradients of X within f before it adds ∇Y."""

    def forward(self, x: Tensor) -> Tensor:
        """With f's modules one after the other."""
        return x + super().forward(x.view_as(x))


class Parallel(nn.Sequential):
    """f(X) + g(X) + …, where autograd is to sum the gradients of X within each by themselves."""

    def forward(self, x: Tensor) -> Tensor:
        """With the modules side by side."""
        first, *others = [f(x.view_as(x)) for f in self]
        for y in others:
            first = first + y
        return first


class Positions(nn.Embedding):
    """X and the vector of each position."""

    def forward(self, x: Tensor) -> Tensor:
        """Of sequences."""
        return x + super().forward(torch.arange(x.shape[-2]))


class ReLUSquared(nn.Module):
    """The square of what ReLU gives."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return x.relu().square()


class Attention(nn.Module):
    """By PyTorch's function, of queries, keys and values that come side by side."""

    def __init__(self, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal

    def forward(self, x: Tensor) -> Tensor:
        """Of sequences."""
        parts = (p.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for p in x.chunk(3, -1))
        y = nn.functional.scaled_dot_product_attention(*parts, is_causal=self.causal)
        return y.transpose(-2, -3).flatten(-2)


def self_attention(features: int, heads: int, causal: bool, bias: bool) -> nn.Sequential:
    """Attention between linear modules."""
    return nn.Sequential(
        nn.Linear(features, 3 * features, bias),
        Attention(heads, causal),
        nn.Linear(features, features, bias),
    )


@dataclass(frozen=True)
class LayerCase:
    """A layer.

    Attributes:
        ours: Its constructor.
        theirs: The constructor of PyTorch's module, or of the same maths in PyTorch's operations,
            which takes the same arguments.
        args: Draws them for an x of this shape.
        shape: Draws the shape of x.
        tier: "A" if every bit is that of PyTorch's own module, "B" if it is that of autograd of the
            same maths, "C" if some of it is neither.
        unequal: What is tier C: "y", "gx" or names of params.
        dtypes: Where the tier holds.
        finite: Whether it holds for finite numbers only.
        tokens: Whether x holds whole numbers below the first of the arguments.
    """

    ours: Callable[..., fdl.Layer]
    theirs: Callable[..., nn.Module]
    args: Callable[[Draw, Sequence[int]], tuple[Any, ...]] = no_args
    shape: Callable[[Draw], list[int]] = any_shape
    tier: str = "A"
    unequal: tuple[str, ...] = ()
    dtypes: Sequence[torch.dtype] = DTYPES
    finite: bool = False
    tokens: bool = False

    def drawn(
        self, d: Draw, make: Callable[..., fdl.Layer] | None = None
    ) -> tuple[fdl.Layer, nn.Module, fdl.Params, Tensor]:
        """The layer, or what `make` makes in its place, PyTorch's module, params and x."""
        shape = self.shape(d)
        args = self.args(d, shape)
        layer = (make or self.ours)(*args)
        generator = torch.Generator().manual_seed(d.rng.getrandbits(32))
        params = layer.init(generator, dtype=d.dtype)
        if not layer.layers:  # through more of them, few special values would leave all NaN
            params = fdl.tree_map(lambda p: d.tensor(*p.shape), params)
        x = d.classes(args[0], *shape) if self.tokens else d.tensor(*shape)
        return layer, self.theirs(*args).eval(), params, x

    @property
    def stands_anywhere(self) -> bool:
        """Whether it may be part of any network whose bits are PyTorch's."""
        everywhere = self.shape in (any_shape, features)
        return everywhere and self.tier != "C" and not self.finite

    def triples(self, rng: Random, make: Callable[..., fdl.Layer] | None = None) -> Triples:
        """The value and all gradients, where the layer may be what `make` makes in its place."""
        d = Draw(rng, rng.choice(self.dtypes), finite=self.finite)
        layer, module, params, x = self.drawn(d, make)
        module.train(layer.draws and rng.random() < 0.7)
        seed = rng.getrandbits(32)
        names = trained(rng, x, fdl.to_state_dict(params))
        torch.manual_seed(seed)
        gy, theirs = by_autograd(module, params, names, x, lambda y: d.tensor(*y.shape))
        generator = (torch.Generator().manual_seed(seed),) if module.training else ()
        with torch.inference_mode(rng.random() < 0.5):  # some layers have a way of their own there
            gy = copied(gy)
            y, pullback = layer.vjp(params, x, *generator)
            grads, gx = pullback(gy)
            assert (gx is None) == self.tokens
            without = pullback(gy, wrt_input=False)[0]
            ours: dict[str, Any] = {"y": y, "gx": gx, **fdl.to_state_dict(grads)}
            for name in theirs:
                if name not in self.unequal:
                    yield name, ours[name], theirs[name]
            yield "apply", layer.apply(params, x), layer.vjp(params, x)[0]
            for name, grad in fdl.to_state_dict(without).items():
                yield f"{name}, wrt_input=False", grad, ours[name]

    def inexact(self, rng: Random, dtype: torch.dtype) -> Inexact:
        """What is tier C, beside PyTorch's own."""
        if not self.unequal:
            return
        d = Draw(rng, dtype, finite=True)
        layer, module, params, x = self.drawn(d)
        names = [*fdl.to_state_dict(params)]
        gy, theirs = by_autograd(module, params, names, x, lambda y: d.tensor(*y.shape))
        doubles = fdl.tree_map(Tensor.double, [params, x, gy])
        _, exact = by_autograd(module, doubles[0], names, doubles[1], lambda _: doubles[2])
        y, pullback = layer.vjp(params, x)
        grads, gx = pullback(gy)
        ours: dict[str, Any] = {"y": y, "gx": gx, **fdl.to_state_dict(grads)}
        for name in self.unequal:
            if name in ours:  # there may be no bias
                yield name, ours[name], theirs[name], exact[name]


class CrossEntropy(nn.Module):
    """Cross-entropy in PyTorch's operations, for autograd to differentiate."""

    def __init__(
        self, reduction: str, ignore_index: int | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.reduction, self.ignored, self.smoothing = reduction, ignore_index, label_smoothing

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        """Of logits y, whose last dimension holds the classes."""
        t = t[..., None]
        kept = torch.ones_like(t, dtype=torch.bool) if self.ignored is None else t != self.ignored
        z = y - y.detach().amax(-1, keepdim=True)
        told = z.gather(-1, t.where(kept, 0))
        if self.smoothing:
            told = told.lerp(z.mean(-1, keepdim=True), self.smoothing)
        losses = z.exp().sum(-1, keepdim=True).log() - told
        if self.ignored is None:
            return losses.mean() if self.reduction == "mean" else losses.sum()
        total = losses.masked_fill(~kept, 0).sum()
        return total / kept.sum() if self.reduction == "mean" else total


class OwnCrossEntropy(nn.CrossEntropyLoss):
    """PyTorch's own, with the classes last."""

    def __init__(self, *, ignore_index: int | None = None, **others: Any) -> None:
        super().__init__(ignore_index=-100 if ignore_index is None else ignore_index, **others)

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        """Of as many samples as there are."""
        return super().forward(y.reshape(-1, y.shape[-1]), t.reshape(-1))


@dataclass(frozen=True)
class LossCase:
    """A loss.

    Attributes:
        ours: Its constructor.
        theirs: The constructor of PyTorch's module, or of the same maths in PyTorch's operations,
            which takes the same arguments.
        prediction: Draws one.
        target: Draws one for a prediction of this shape.
        args: Draws the arguments, by name.
        tier: As a layer's.
        dtypes: Where the tier holds.
        own: The constructor of PyTorch's own module, where `theirs` isn't that.
    """

    ours: Callable[..., fdl.Loss]
    theirs: Callable[..., nn.Module]
    prediction: Callable[[Draw], Tensor]
    target: Callable[[Draw, Sequence[int]], Tensor]
    args: Callable[[Draw], dict[str, Any]]
    tier: str = "A"
    dtypes: Sequence[torch.dtype] = DTYPES
    own: Callable[..., nn.Module] | None = None

    def drawn(
        self, d: Draw, make: Callable[..., fdl.Loss] | None = None
    ) -> tuple[fdl.Loss, nn.Module, Tensor, Tensor]:
        """The loss, or what `make` makes in its place, PyTorch's module, y and t."""
        args, y = self.args(d), self.prediction(d)
        return (make or self.ours)(**args), self.theirs(**args), y, self.target(d, y.shape)

    def triples(self, rng: Random, make: Callable[..., fdl.Loss] | None = None) -> Triples:
        """The value and the gradient, where the loss may be what `make` makes in its place."""
        loss, module, y, t = self.drawn(Draw(rng, rng.choice(self.dtypes)), make)
        their_value, their_pullback = autograd(lambda y: module(y, t), y)
        (their_gy,) = their_pullback()
        with torch.inference_mode(rng.random() < 0.5):
            value, pullback = loss.vjp(y, t)
            yield "apply", loss.apply(y, t), their_value
            yield "value", value, their_value
            yield "gy", pullback(), their_gy

    def inexact(self, rng: Random, dtype: torch.dtype) -> Inexact:
        """Beside PyTorch's own module, on small numbers, where no difference is nearly zero."""
        d = Draw(rng, dtype, finite=True)
        if self.own:
            y = d.tensor(*d.batch(), d.size() + 1)
            t, module = self.target(d, y.shape), self.own()
            value, pullback = self.ours().vjp(y, t)
            theirs, exact = (autograd(lambda y: module(y, t), p) for p in (y, y.double()))
            yield "value", value, theirs[0], exact[0]
            yield "gy", pullback(), theirs[1]()[0], exact[1]()[0]


def distances(
    case: Any, rngs: Iterable[Random], dtype: torch.dtype
) -> dict[str, tuple[float, float]]:
    """How far what is inexact is from double precision, ours and PyTorch's, over all cases.

    By relative 2-norms, of which this is the mean.
    """
    found: dict[str, list[list[float]]] = {}
    for rng in rngs:
        for name, ours, theirs, exact in case.inexact(rng, dtype):
            # oneDNN with AMX reads what nobody wrote, in bfloat16 where outputs are one wide.
            if (exact + theirs).isfinite().all() and (norm := exact.norm()):
                off = [((t.double() - exact).norm() / norm).item() for t in (ours, theirs)]
                found.setdefault(name, []).append(off)
    return {k: (fmean(o for o, _ in v), fmean(t for _, t in v)) for k, v in found.items()}


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer.

    Attributes:
        ours: Its constructor.
        theirs: The constructor of PyTorch's, of params and the same options.
        options: Draws them.
    """

    ours: Callable[..., fdl.Optimizer]
    theirs: Callable[..., torch.optim.Optimizer]
    options: Callable[[Random], dict[str, Any]] = lambda _: {}

    def triples(self, rng: Random, make: Callable[..., fdl.Optimizer] | None = None) -> Triples:
        """Some steps of two leaves: the new params and the state.

        The optimizer may be what `make` makes in its place.

        PyTorch's foreach rounds otherwise in half precision, and there, so does its for-loop where
        gradients are laid out otherwise than params. What it remembers may be laid out as the
        gradients are.
        """
        d = Draw(rng)
        half, options = d.dtype.itemsize == 2, self.options(rng)
        shapes = {"p": d.shape(), "q": d.shape()}
        params = {k: d.tensor(*shape).clone() for k, shape in shapes.items()}
        leaves = {k: p.clone().requires_grad_() for k, p in params.items()}
        optimizer = (make or self.ours)(**options)
        decays = options.pop("decays", None) or (lambda p: True)
        groups: list[dict[str, Any]] = [{"params": [p]} for p in leaves.values()]
        for group, p in zip(groups, params.values(), strict=True):
            group |= {} if decays(p) else {"weight_decay": 0}
        theirs = self.theirs(groups, lr=0.1, foreach=not half and rng.random() < 0.5, **options)
        alike = half or rng.random() < 0.5
        inference = rng.random() < 0.5  # where what is no longer needed is donated
        state = fdl.tree_map(copied, optimizer.init(params))
        for _ in range(rng.randrange(1, 5)):
            lr: Any = rng.choice((0.0, 1e-3, 0.1, 1.0, 3.7))
            for group in theirs.param_groups:
                group["lr"] = lr
            grads = {k: d.tensor(*shape) for k, shape in shapes.items()}
            for k, g in grads.items():
                dense = torch.empty_like(leaves[k].detach() if alike else g)
                grads[k] = dense.copy_(g)
                leaves[k].grad = grads[k].clone()
            theirs.step()
            # A tensor as lr rounds alike where PyTorch vectorizes in full precision.
            if lr and alike and not half and rng.random() < 0.5:
                lr = torch.tensor(lr, dtype=torch.float64)
            with torch.inference_mode(inference):
                grads, state = fdl.tree_map(copied, [grads, state])
                params, state = optimizer.update(params, grads, state, lr, donate=inference)
        for k, leaf in leaves.items():
            yield k, params[k], leaf.detach()
            for name, remembered in theirs.state[leaf].items():
                if name == "step" and "step" in state:
                    yield name, state["step"], remembered.double()
                elif name in state:
                    yield f"{name} of {k}", state[name][k].contiguous(), remembered.contiguous()


# What to draw


def linear_args(d: Draw, shape: Sequence[int]) -> tuple[Any, ...]:
    """With a bias or without."""
    return shape[-1], d.size(), d.rng.random() < 0.7


def a_probability(d: Draw, shape: Sequence[int]) -> tuple[float]:
    """Less than 1."""
    return (d.rng.choice((0.0, 0.1, 0.5, 0.9)),)


def a_slope(d: Draw, shape: Sequence[int]) -> tuple[float]:
    """From 0 to 1."""
    return (d.rng.choice((0.0, 0.01, 0.3, 1.0)),)


def a_form(d: Draw, shape: Sequence[int]) -> tuple[str]:
    """Of gelu."""
    return (d.rng.choice(("none", "tanh")),)


def samples(d: Draw) -> list[int]:
    """For layers that take samples, of any shape but none at all."""
    shape = d.shape()
    return shape if len(shape) > 1 else [2, *shape, 3]


def images(d: Draw) -> list[int]:
    """For layers that take images, of few channels and pixels."""
    return [*d.batch()[:1], d.rng.randint(1, 3), d.rng.randint(1, 9), d.rng.randint(1, 9)]


def conv2d_args(d: Draw, shape: Sequence[int]) -> tuple[Any, ...]:
    """Windows that fit in."""
    padding = d.rng.choice((0, 0, 1, 2))
    size = d.rng.randint(1, min(*shape[-2:], 4) + 2 * padding)
    stride = d.rng.choice((1, 1, 1, 2, 3))
    return shape[-3], d.rng.randint(1, 4), size, padding, stride, d.rng.random() < 0.7


def their_conv2d(
    in_channels: int, out_channels: int, size: int, padding: int, stride: int, bias: bool
) -> nn.Conv2d:
    """Which takes padding and stride in another order."""
    return nn.Conv2d(in_channels, out_channels, size, stride, padding, bias=bias)


def max_pool2d_args(d: Draw, shape: Sequence[int]) -> tuple[int]:
    """A window that fits in."""
    return (d.rng.randint(1, min(*shape[-2:], 4)),)


def sequences(d: Draw) -> list[int]:
    """For layers that take sequences, of few positions."""
    return [*d.batch()[:2], d.rng.randint(1, 9), d.size()]


def places(d: Draw) -> list[int]:
    """For layers that take whole numbers, of any shape."""
    return d.shape()[-2:]


def embedding_args(d: Draw, shape: Sequence[int]) -> tuple[int, int]:
    """Few tokens, which come again, or many."""
    return d.size(), d.size()


def positions_args(d: Draw, shape: Sequence[int]) -> tuple[int, int]:
    """As many positions as come, or more."""
    return shape[-2] + d.rng.choice((0, 0, 1, 4)), shape[-1]


def rms_norm_args(d: Draw, shape: Sequence[int]) -> tuple[Any, ...]:
    """With an ε that counts or doesn't."""
    return shape[-1], d.rng.choice((1e-5, 1e-5, 1e-3, 0.5))


def layer_norm_args(d: Draw, shape: Sequence[int]) -> tuple[Any, ...]:
    """With a bias or without."""
    return shape[-1], d.rng.choice((1e-5, 1e-3, 0.5)), d.rng.random() < 0.7


def rows(d: Draw) -> list[int]:
    """For layers that take vectors, some thousands."""
    return [*d.batch()[:2], d.size()]


def heads_of(d: Draw) -> list[int]:
    """For attention, of up to 4 heads."""
    return [*d.batch()[:1], d.rng.randint(1, 9), 3 * d.rng.randint(1, 4) * d.rng.randint(1, 5)]


def attention_args(d: Draw, shape: Sequence[int]) -> tuple[int, bool]:
    """As many heads as there may be, or fewer."""
    fit = [heads for heads in range(1, 5) if shape[-1] % (3 * heads) == 0]
    return d.rng.choice(fit), d.rng.random() < 0.6


def self_attention_args(d: Draw, shape: Sequence[int]) -> tuple[Any, ...]:
    """With biases or without."""
    fit = [heads for heads in range(1, 5) if shape[-1] % heads == 0]
    return shape[-1], d.rng.choice(fit), d.rng.random() < 0.6, d.rng.random() < 0.7


def network_args(d: Draw, shape: Sequence[int], depth: int = 0) -> Network:
    """Up to five layers and their arguments, networks among them."""
    network: list[tuple[str, tuple[Any, ...]]] = []
    for _ in range(d.rng.randrange(6)):
        name = d.rng.choice([k for k, case in LAYERS.items() if case.stands_anywhere])
        if name not in NETWORKS:
            args = LAYERS[name].args(d, shape)
        elif depth < 2:
            args = NETWORKS[name](d, shape, depth + 1)
        else:
            continue
        network.append((name, args))
        layer = LAYERS[name].ours(*args)
        shape = layer.apply(layer.init(device="meta"), torch.empty(*shape, device="meta")).shape
    return tuple(network)


def residual_args(d: Draw, shape: Sequence[int], depth: int = 0) -> Network:
    """A network whose outputs are of the shape of its inputs."""
    network = network_args(d, shape, depth)
    return *network, ("linear", (shape_after(network, shape)[-1], shape[-1], True))


def parallel_args(d: Draw, shape: Sequence[int], depth: int = 0) -> Network:
    """Networks whose outputs are of one shape."""
    size = d.size()
    networks = [network_args(d, shape, depth + 1) for _ in range(1 + d.rng.randrange(3))]
    last = [("linear", (shape_after(n, shape)[-1], size, True)) for n in networks]
    return tuple(("sequential", (*n, end)) for n, end in zip(networks, last, strict=True))


def shape_after(network: Network, shape: Sequence[int]) -> Sequence[int]:
    """That of the outputs for inputs of this one."""
    model = made(fdl.sequential, "ours")(*network)
    return model.apply(model.init(device="meta"), torch.empty(*shape, device="meta")).shape


def made(combinator: Callable[..., Any], whose: str) -> Callable[..., Any]:
    """The combinator of the layers of a network, ours or theirs."""
    return lambda *network: combinator(*(getattr(LAYERS[k], whose)(*args) for k, args in network))


def decaying(rng: Random) -> dict[str, Any]:
    """Weight decay, if any, of all leaves or of some."""
    decays = rng.choice((None, None, lambda p: p.dim() >= 2))
    return {"weight_decay": rng.choice((0.0, 0.01, 0.3)), "decays": decays}


def momentum_options(rng: Random) -> dict[str, Any]:
    """Nesterov's or dampened, or neither."""
    nesterov = rng.random() < 0.3
    dampening = 0.0 if nesterov else rng.choice((0.0, 0.1, 0.5))
    mu = rng.choice((0.9, 0.5, 0.99) if nesterov else (0.9, 0.5, 0.0))
    return {"mu": mu, "nesterov": nesterov, "dampening": dampening, **decaying(rng)}


def adam_options(rng: Random) -> dict[str, Any]:
    """Adam's or AdamW's."""
    return {
        "beta1": rng.choice((0.9, 0.0, 0.5)),
        "beta2": rng.choice((0.999, 0.95, 0.0)),
        "eps": rng.choice((1e-8, 1e-3)),
        "decoupled": rng.random() < 0.5,
        **decaying(rng),
    }


def rmsprop_options(rng: Random) -> dict[str, Any]:
    """With momentum, centered, both or neither."""
    return {
        "alpha": rng.choice((0.99, 0.9, 0.0)),
        "eps": rng.choice((1e-8, 1e-3)),
        "momentum": rng.choice((0.0, 0.9)),
        "centered": rng.random() < 0.5,
        **decaying(rng),
    }


def adagrad_options(rng: Random) -> dict[str, Any]:
    """With a rate that falls or not."""
    return {
        "lr_decay": rng.choice((0.0, 0.1)),
        "initial_accumulator_value": rng.choice((0.0, 0.1)),
        "eps": rng.choice((1e-10, 1e-3)),
        **decaying(rng),
    }


def stateless(step: Callable[..., fdl.Params]) -> Callable[[], fdl.Optimizer]:
    """The constructor of an optimizer that remembers nothing."""
    return lambda: fdl.Optimizer(
        lambda params: {},
        lambda params, grads, state, lr, *, donate=False: (
            step(params, grads, lr, donate=donate),
            state,
        ),
    )


def a_reduction(d: Draw) -> dict[str, Any]:
    """The mean in most cases, which is the default."""
    return {"reduction": d.rng.choice(("mean", "mean", "sum"))}


def huber_args(d: Draw) -> dict[str, Any]:
    """With numbers of all dtypes, since PyTorch rounds others in some places and not in others."""
    return {**a_reduction(d), "delta": d.rng.choice((0.125, 1.0, 1.5, torch.inf))}


def cross_entropy_args(d: Draw) -> dict[str, Any]:
    """With the first class for one that is ignored, or none, and smoothing or none."""
    ignored, smoothing = d.rng.choice((None, None, 0)), d.rng.choice((0.0, 0.0, 0.1, 1.0))
    return {**a_reduction(d), "ignore_index": ignored, "label_smoothing": smoothing}


def numbers(d: Draw) -> Tensor:
    """Of any shape."""
    return d.tensor(*d.shape())


def numbers_in_full(d: Draw) -> Tensor:
    """Of any shape, with memory for each."""
    y = numbers(d)
    return y.clone() if 0 in y.stride() else y


def logits(d: Draw) -> Tensor:
    """Small ones or large ones."""
    return d.tensor(*features(d)) * d.rng.choice((1, 1000))


def alike(d: Draw, shape: Sequence[int]) -> Tensor:
    """Numbers."""
    return d.tensor(*shape)


def classes(d: Draw, shape: Sequence[int]) -> Tensor:
    """As many as the last dimension has."""
    return d.classes(shape[-1], *shape[:-1])


def network(
    ours: Callable[..., fdl.Layer],
    theirs: Callable[..., nn.Module],
    args: Callable[..., Network],
) -> LayerCase:
    """The case of a combinator."""
    tier = "A" if ours is fdl.sequential else "B"
    return LayerCase(made(ours, "ours"), made(theirs, "theirs"), args, features, tier)


NETWORKS = {"sequential": network_args, "residual": residual_args, "parallel": parallel_args}
LAYERS = {
    "linear": LayerCase(fdl.linear, nn.Linear, linear_args, features),
    "relu": LayerCase(fdl.relu, nn.ReLU),
    "leaky_relu": LayerCase(fdl.leaky_relu, nn.LeakyReLU, a_slope),
    "sigmoid": LayerCase(fdl.sigmoid, nn.Sigmoid),
    "silu": LayerCase(fdl.silu, nn.SiLU, tier="C", unequal=("y", "gx")),
    "gelu": LayerCase(
        fdl.gelu, lambda form: nn.GELU(approximate=form), a_form, tier="C", unequal=("y", "gx")
    ),
    "tanh": LayerCase(fdl.tanh, nn.Tanh),
    "flatten": LayerCase(fdl.flatten, nn.Flatten, shape=samples),
    "conv2d": LayerCase(
        fdl.conv2d, their_conv2d, conv2d_args, images, tier="C", unequal=("weight", "bias")
    ),
    "max_pool2d": LayerCase(fdl.max_pool2d, nn.MaxPool2d, max_pool2d_args, images, finite=True),
    "dropout": LayerCase(fdl.dropout, nn.Dropout, a_probability),
    "relu_squared": LayerCase(fdl.relu_squared, ReLUSquared, finite=True),
    "embedding": LayerCase(
        *(fdl.embedding, nn.Embedding, embedding_args, places), tokens=True, dtypes=FULL
    ),
    "positions": LayerCase(fdl.positions, Positions, positions_args, sequences),
    "rms_norm": LayerCase(fdl.rms_norm, nn.RMSNorm, rms_norm_args, features),
    "layer_norm": LayerCase(
        fdl.layer_norm,
        lambda features, eps, bias: nn.LayerNorm(features, eps, bias=bias),
        *(layer_norm_args, rows),
        tier="C",
        unequal=("gx", "weight", "bias"),
    ),
    "attention": LayerCase(
        *(fdl.attention, Attention, attention_args, heads_of),
        tier="C",
        unequal=("y", "gx"),
        finite=True,
    ),
    "self_attention": LayerCase(
        *(fdl.self_attention, self_attention, self_attention_args, sequences),
        tier="C",
        unequal=("y", "gx", "0.weight", "0.bias", "2.weight", "2.bias"),
        finite=True,
    ),
    "sequential": network(fdl.sequential, nn.Sequential, network_args),
    "residual": network(fdl.residual, Residual, residual_args),
    "parallel": network(fdl.parallel, Parallel, parallel_args),
}
OPTIMIZERS = {
    "sgd": OptimizerCase(stateless(fdl.sgd), torch.optim.SGD),
    "momentum": OptimizerCase(
        fdl.momentum,
        lambda params, mu, **options: torch.optim.SGD(params, momentum=mu, **options),
        momentum_options,
    ),
    "adam": OptimizerCase(
        fdl.adam,
        lambda params, beta1, beta2, decoupled, **options: torch.optim.Adam(
            params, betas=(beta1, beta2), decoupled_weight_decay=decoupled, **options
        ),
        adam_options,
    ),
    "rmsprop": OptimizerCase(fdl.rmsprop, torch.optim.RMSprop, rmsprop_options),
    "adagrad": OptimizerCase(fdl.adagrad, torch.optim.Adagrad, adagrad_options),
}


LOSSES = {
    "mse": LossCase(fdl.mse, nn.MSELoss, numbers, alike, a_reduction),
    "l1": LossCase(fdl.l1, nn.L1Loss, numbers, alike, a_reduction),
    "huber": LossCase(
        *(fdl.huber, nn.HuberLoss, numbers_in_full, alike, huber_args),
        dtypes=(torch.float32, torch.float64, torch.bfloat16),
    ),
    "bce_with_logits": LossCase(
        fdl.bce_with_logits, nn.BCEWithLogitsLoss, numbers, alike, a_reduction
    ),
    "cross_entropy": LossCase(
        *(fdl.cross_entropy, CrossEntropy, logits, classes, cross_entropy_args),
        tier="B",
        own=OwnCrossEntropy,
    ),
}


def step_of_network(rng: Random) -> Triples:
    """A step of a network, by the core and by compat."""
    d = Draw(rng)
    shape = features(d)
    network, seed = network_args(d, shape), rng.getrandbits(32)

    def module(name: str, args: Any) -> compat.Module:
        if name == "sequential":
            return compat.Sequential(*(module(*each) for each in args))
        own = getattr(compat, LAYERS[name].theirs.__name__, None)
        return own(*args) if own else compat.LayerModule(LAYERS[name].ours(*args))

    with default_dtype(d.dtype):
        torch.manual_seed(seed)
        theirs = LAYERS["sequential"].theirs(*network)
        torch.manual_seed(seed)
        stateful = module("sequential", network)
        torch.manual_seed(seed)
        model = LAYERS["sequential"].ours(*network)
        params = model.init()

    x = d.tensor(*shape)
    parameters = dict(theirs.named_parameters())
    names = trained(rng, x, parameters)
    for name, p in parameters.items():
        p.requires_grad_(name in names)
    inputs = [x.detach().requires_grad_(), *(parameters[name] for name in names)]
    torch.manual_seed(seed)
    outputs = theirs(inputs[0])
    case = LOSSES[rng.choice(("mse", "l1", "bce_with_logits", "cross_entropy"))]
    t, args = case.target(d, outputs.shape), case.args(d)
    their_loss = case.theirs(**args)(outputs, t)
    their_gx, *their_grads = torch.autograd.grad(their_loss, inputs, retain_graph=True)
    generator = (torch.Generator().manual_seed(seed),) if model.draws else ()
    y, pullback = model.vjp(params, x, *generator)
    loss, loss_pullback = case.ours(**args).vjp(y, t)
    grads, gx = pullback(loss_pullback())
    assert gx is not None
    yield "core: loss", loss, their_loss.detach()
    yield "core: gx", gx, their_gx
    grads = fdl.to_state_dict(grads)
    for name, their_grad in zip(names, their_grads, strict=True):
        yield f"core: gradient of {name}", grads[name], their_grad

    for p in inputs[1:]:
        p.grad = torch.zeros_like(p)  # where compat starts from
    for _ in range(2):  # gradients accumulate
        their_loss.backward(retain_graph=True)
        criterion = compat.LossModule(case.ours(**args))
        torch.manual_seed(seed)
        yield "compat: loss", criterion(stateful(x), t), their_loss.detach()
        yield "compat: gx", stateful.backward(criterion.backward()), their_gx
    accumulated = dict(zip(parameters, stateful.grads(), strict=True))
    for name in names:
        their_grad = parameters[name].grad
        assert their_grad is not None
        yield f"compat: accumulated gradient of {name}", accumulated[name], their_grad

    if names:
        torch.optim.SGD(inputs[1:], 0.1).step()
    if parameters:
        compat.SGD(stateful.parameters(), stateful.grads(), 0.1).step()
    stepped = dict(zip(parameters, stateful.parameters(), strict=True))
    for name in names:
        yield f"compat: {name} after a step", stepped[name], parameters[name].detach()


@contextmanager
def default_dtype(dtype: torch.dtype) -> Generator[None]:
    """Makes dtype the one that torch draws in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


ALL = {**LAYERS, **LOSSES, **OPTIMIZERS}
CASES: dict[str, Callable[..., Triples]] = {name: case.triples for name, case in ALL.items()} | {
    "network": step_of_network
}
TIERS = {name: getattr(case, "tier", "A") for name, case in ALL.items()} | {"network": "B"}
