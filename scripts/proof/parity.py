"""Drawn cases, each run through functional_dl and through PyTorch's autograd.

A case takes a `random.Random` and yields (what, ours, PyTorch's) for everything that must agree
in every bit. What is ours can be replaced, to see what another formula comes to.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

import functional_dl as fdl
from functional_dl import compat
from functional_dl._numerics import BITS

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SIZES = (0, 1, 1, 2, 3, 5, 8, 17, 33, 64)
FEATURES = SIZES[1:]
SPECIAL = (0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-7, -1e-42, 5e-324)

Triples = Iterator[tuple[str, Any, Any]]


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether shapes, dtypes and all bits agree; every NaN is the same NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    bits = BITS[a.element_size()]
    a, b = (t.masked_fill(t.isnan(), torch.nan).contiguous().view(bits) for t in (a, b))
    return torch.equal(a, b)


def draw(rng: Random, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor of normal numbers, with special values in one of three, in some layout."""
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    t = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    if rng.randrange(3) == 0:
        chosen = torch.tensor(SPECIAL, dtype=dtype)[
            torch.randint(len(SPECIAL), shape, generator=generator)
        ]
        t = torch.where(torch.rand(shape, generator=generator) < 0.1, chosen, t)
    layout = rng.randrange(5) if shape else 0
    if layout == 1:  # dimensions stored in another order
        order = rng.sample(range(t.dim()), t.dim())
        t = t.permute(order).contiguous().permute([order.index(i) for i in range(t.dim())])
    elif layout == 2:  # with gaps, in which a NaN shows who reads them
        steps = [rng.choice((1, 2)) for _ in shape]
        wide = t.new_full([2 * size + 2 for size in shape], torch.nan)
        gaps = [slice(1, 1 + s * size, s) for s, size in zip(steps, shape, strict=True)]
        t = wide[tuple(gaps)].copy_(t)
    elif layout == 3:  # one element for a whole dimension
        d = rng.randrange(t.dim())
        t = t.narrow(d, 0, min(shape[d], 1)).expand(*shape)
    return t


def draw_shape(rng: Random, last: Sequence[int] = SIZES) -> list[int]:
    """One to four sizes."""
    return [*(rng.choice(SIZES) for _ in range(rng.randrange(4))), rng.choice(last)]


def autograd(
    f: Callable[..., Tensor], inputs: Sequence[Tensor], gy: Tensor | None = None
) -> tuple[Tensor, ...]:
    """f(*inputs), then the gradients of the inputs."""
    leaves = [t.detach().requires_grad_() for t in inputs]
    y = f(*leaves)
    return y.detach(), *torch.autograd.grad(y, leaves, gy)


def elementwise(name: str) -> Callable[..., Triples]:
    """A layer without params, by the name that it has in fdl and in torch."""

    def case(rng: Random, make: Callable[[], fdl.Layer] | None = None) -> Triples:
        dtype, shape = rng.choice(DTYPES), draw_shape(rng)[: rng.choice((0, 4, 4, 4))]
        x, gy = draw(rng, shape, dtype), draw(rng, shape, dtype)
        their_y, their_gx = autograd(getattr(torch, name), [x], gy)
        layer = (make or getattr(fdl, name))()
        with torch.inference_mode(rng.random() < 0.5):  # relu has a way of its own there
            y, pullback = layer.vjp({}, x)
            yield "apply", layer.apply({}, x), their_y
            yield "y", y, their_y
            yield "gx", pullback(gy)[1], their_gx

    return case


def linear(rng: Random, make: Callable[..., fdl.Layer] | None = None) -> Triples:
    """A linear layer, with params in any layout."""
    dtype, (a, b) = rng.choice(DTYPES), rng.choices(FEATURES, k=2)
    x = draw(rng, draw_shape(rng, [a]), dtype)
    gy = draw(rng, [*x.shape[:-1], b], dtype)
    params = {"weight": draw(rng, [b, a], dtype), "bias": draw(rng, [b], dtype)}
    if rng.random() < 0.3:
        del params["bias"]
    their_y, their_gx, *their_grads = autograd(nn.functional.linear, [x, *params.values()], gy)
    layer = (make or fdl.linear)(a, b, bias="bias" in params)
    y, pullback = layer.vjp(params, x)
    grads, gx = pullback(gy)
    yield "apply", layer.apply(params, x), their_y
    yield "y", y, their_y
    yield "gx", gx, their_gx
    for (name, grad), theirs in zip(grads.items(), their_grads, strict=True):
        yield name, grad, theirs
        yield f"{name}, wrt_input=False", pullback(gy, wrt_input=False)[0][name], theirs


def mse(rng: Random, make: Callable[[], fdl.Loss] | None = None) -> Triples:
    """The mean squared error."""
    dtype, shape = rng.choice(DTYPES), draw_shape(rng)[: rng.choice((0, 4, 4, 4))]
    y, t = draw(rng, shape, dtype), draw(rng, shape, dtype)
    their_value, their_gy = autograd(lambda y: nn.functional.mse_loss(y, t), [y])
    loss = (make or fdl.mse)()
    value, pullback = loss.vjp(y, t)
    yield "apply", loss.apply(y, t), their_value
    yield "value", value, their_value
    yield "gy", pullback(), their_gy


def sgd(rng: Random, step: Callable[..., fdl.Params] | None = None) -> Triples:
    """A step; a tensor as learning rate rounds alike where PyTorch vectorizes in full precision."""
    dtype, shape, lr = rng.choice(DTYPES), draw_shape(rng), rng.choice((0.0, 0.1, 1.0, 3.7))
    p, g = draw(rng, shape, dtype).clone(), draw(rng, shape, dtype)
    leaf = p.clone().requires_grad_()
    leaf.grad = g
    torch.optim.SGD([leaf], lr).step()
    step = step or fdl.sgd
    yield "number", step({"p": p}, {"p": g}, lr)["p"], leaf.detach()
    if lr and dtype.itemsize > 2 and p.stride() == g.stride():
        lr = torch.tensor(lr, dtype=torch.float64)
        yield "tensor", step({"p": p}, {"p": g}, lr)["p"], leaf.detach()


def network(rng: Random) -> Triples:
    """A step of a nested network, by the core and by compat."""
    dtype, (a, h, b) = rng.choice(DTYPES), rng.choices(FEATURES, k=3)
    x = draw(rng, draw_shape(rng, [a]), dtype)
    t = draw(rng, [*x.shape[:-1], b], dtype)
    activation, bias, seed = rng.choice(("ReLU", "Tanh")), rng.random() < 0.7, rng.getrandbits(32)

    def build(sequential: Callable[..., Any], linear: Callable[..., Any], activation: Any) -> Any:
        torch.manual_seed(seed)
        return sequential(
            linear(a, h, bias),
            activation(),
            sequential(linear(h, h), activation()),
            sequential(),
            linear(h, b),
        )

    with default_dtype(dtype):
        theirs = build(nn.Sequential, nn.Linear, getattr(nn, activation))
        stateful = build(compat.Sequential, compat.Linear, getattr(compat, activation))
        model = build(fdl.sequential, fdl.linear, getattr(fdl, activation.lower()))
        params = model.init()

    inputs = [x.detach().requires_grad_(), *theirs.parameters()]
    their_loss = nn.MSELoss()(theirs(inputs[0]), t)
    their_gx, *their_grads = torch.autograd.grad(their_loss, inputs, retain_graph=True)
    y, pullback = model.vjp(params, x)
    loss, loss_pullback = fdl.mse().vjp(y, t)
    grads, gx = pullback(loss_pullback())
    yield "core: loss", loss, their_loss.detach()
    yield "core: gx", gx, their_gx
    for (name, grad), their_grad in zip(leaves(grads).items(), their_grads, strict=True):
        yield f"core: gradient of {name}", grad, their_grad

    for p in theirs.parameters():
        p.grad = torch.zeros_like(p)  # where compat starts from
    for _ in range(2):  # gradients accumulate
        their_loss.backward(retain_graph=True)
        criterion = compat.MSE()
        yield "compat: loss", criterion(stateful(x), t), their_loss.detach()
        yield "compat: gx", stateful.backward(criterion.backward()), their_gx
    for grad, p in zip(stateful.grads(), theirs.parameters(), strict=True):
        yield "compat: accumulated gradient", grad, p.grad

    torch.optim.SGD(theirs.parameters(), 0.1).step()
    compat.SGD(stateful.parameters(), stateful.grads(), 0.1).step()
    for p, their_p in zip(stateful.parameters(), theirs.parameters(), strict=True):
        yield "compat: parameter after a step", p, their_p.detach()


def leaves(params: fdl.Params) -> dict[str, Tensor]:
    """The tensors by their keys joined with dots, as in torch's state_dict."""
    return {
        f"{k}.{name}" if name else k: leaf
        for k, p in params.items()
        for name, leaf in (leaves(p) if isinstance(p, dict) else {"": p}).items()
    }


@contextmanager
def default_dtype(dtype: torch.dtype) -> Generator[None]:
    """Makes dtype the one that torch draws in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


CASES: dict[str, Callable[..., Triples]] = {
    "linear": linear,
    "relu": elementwise("relu"),
    "tanh": elementwise("tanh"),
    "mse": mse,
    "sgd": sgd,
    "network": network,
}
