"""Arithmetic that rounds as PyTorch's does, and that is fast.

In exact arithmetic, each function is the formula in its first line. Which kernels compute it, and
in which order, decides the last bits and the time; the rest of its docstring says why it is so.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.compiler import is_compiling

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""For a number of so many bytes, an integer that holds its bits."""

_ONE = torch.ones((), dtype=torch.float32, device="cpu")


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """X Wᵀ + b.

    Like PyTorch's linear (ATen/native/Linear.cpp): b is added within the product, which saves a
    rounding, if x has two dimensions or if x and b are contiguous; else after it. An x of three
    dimensions or more is one of two in a single product, as with PyTorch's weights that are
    trained; with frozen ones and an x that isn't contiguous, PyTorch's is a batch of products,
    which round otherwise (should_fold in ATen/native/LinearAlgebra.cpp).
    """
    if x.dim() == 2:
        return x.mm(weight.mT) if bias is None else bias.addmm(x, weight.mT)
    shape = (*x.shape[:-1], weight.shape[0])
    if bias is None or _is_fused(x, bias):
        return affine(_rows(x), weight, bias).reshape(shape)
    return affine(_rows(x), weight, None).reshape(shape) + bias


def affine_grads(gy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    """(∇Y)ᵀ X and 1_N ∇Y, under the names of weight and bias.

    Like autograd (mm_mat2_backward in torch/csrc/autograd/FunctionsManual.cpp), the gradient of a
    factor is laid out by rows or by columns as the factor is: the product that gives it is
    transposed for that, and then sums in another order. Where b is added after the product, its
    gradient is summed over all leading dimensions at once, and not over rows.
    """
    if gy.dim() != 2:
        if bias is None or _is_fused(x, bias):
            return affine_grads(_rows(gy), _rows(x), weight, bias)
        grads = affine_grads(_rows(gy), _rows(x), weight, None)
        # Autograd's may be gy itself, ours lies in memory of its own.
        return grads | {"bias": gy.sum_to_size(bias.shape).clone()}
    by_rows = weight.stride() == (weight.shape[1], 1)
    grads = {"weight": gy.mT.mm(x) if by_rows else x.mT.mm(gy).mT}
    if bias is not None:
        grads["bias"] = gy.sum(0)
    return grads


def affine_input_grad(gy: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """∇Y W, by rows or by columns as X is: see `affine_grads`."""
    if gy.dim() != 2:
        return affine_input_grad(_rows(gy), _rows(x), weight).reshape(x.shape)
    if x.stride()[0] == 1 and x.stride() == (1, x.shape[0]):
        return weight.mT.mm(gy.mT).mT
    return gy.mm(weight)


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


def _is_fused(x: Tensor, bias: Tensor) -> bool:
    return x.is_contiguous() and bias.is_contiguous()


def where_positive(gy: Tensor, y: Tensor) -> Tensor:
    """∇Y where Y is positive or NaN, +0 elsewhere, for a Y that is never negative.

    A product with a mask of zeros and ones would turn infinite cotangents into NaN and lose the
    sign of zeros. `torch.where` and `masked_fill` branch for each element, which takes twenty times
    as long on a random mask. In inference mode, where nothing is differentiated again, the bits are
    multiplied as integers, by 0 or 1: that is exact, and fast.
    """
    if is_compiling():
        return gy.masked_fill(y <= 0, 0)  # when compiled, twice as fast as with y.bool()
    if gy.is_inference():
        bits, gx = BITS[gy.element_size()], y.abs()
        try:
            gx.view(bits).sign_().mul_(gy.view(bits))
            return gx
        except RuntimeError:  # torch.vmap goes over gy alone
            pass
    return gy.where(y.bool(), 0)


def times_one_minus_square(gy: Tensor, y: Tensor) -> Tensor:
    """∇Y ⊙ (1 − Y²).

    Like PyTorch's tanh_backward: 1 − Y² is rounded once, by addcmul, where 1 - y * y rounds twice;
    and half precision is computed in single precision and rounded once, at the end. The result is
    laid out as ∇Y is, since sums over it depend on that.
    """
    if y.element_size() == 2:
        return times_one_minus_square(*_in_single(gy, y)).to(y.dtype)
    derivative = (_ONE if y.is_cpu else _ONE.to(y.device)).addcmul(y, y, value=-1)
    if derivative.stride() == gy.stride():
        try:
            return derivative.mul_(gy)  # 1 % of a step, of large networks too
        except RuntimeError:  # torch.vmap goes over gy alone
            pass
    return gy * derivative


def times_sigmoid_slope(gy: Tensor, y: Tensor) -> Tensor:
    """∇Y ⊙ (1 − Y) ⊙ Y.

    Like PyTorch's sigmoid_backward: the factors come in this order, and bfloat16, but not float16,
    is computed in single precision and rounded once, at the end.
    """
    if y.dtype == torch.bfloat16:
        return times_sigmoid_slope(*_in_single(gy, y)).to(y.dtype)
    return gy * (1 - y) * y


def _in_single(gy: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both in single precision, such that their product is laid out as that of ∇Y and Y.

    Where ∇Y repeats an element along a dimension, Y decides that; but a copy repeats nothing.
    """
    if 0 in gy.stride():
        gy = gy * torch.ones_like(y)
    return gy.float(), y.float()


def inverted_mask(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """1 / (1 − p) with probability 1 − p, else 0, for each element of X.

    Like PyTorch's dropout (ATen/native/Dropout.cpp): drawn in the order of X's memory, then divided
    in the dtype of X. Compiled code takes the global generator where none is named.
    """
    named = None if generator is torch.default_generator else generator
    return torch.empty_like(x).bernoulli_(1 - p, generator=named).div_(1 - p)


def times_number(x: Tensor, number: float) -> Tensor:
    """X · number.

    Like PyTorch's mse_loss_backward, huber_loss_backward and, after abs, mean_backward: number is
    first rounded to the dtype of X, which shows in half precision, and the result is laid out by
    rows, also where X is not.
    """
    return (x * x.new_full((), number)).contiguous()


def log_losses(y: Tensor, t: Tensor) -> Tensor:
    """(1 − T) ⊙ Y + log(1 + exp(−Y)).

    By PyTorch's operation: its exp and log1p (log_sigmoid in ATen/native/cpu/Activation.cpp) are
    vectorized to the last element and widen half precision, and no other operation's do both.
    """
    return torch.binary_cross_entropy_with_logits(y, t, None, None, 0)  # 0: without reduction


def minus_multiple(lr: float | Tensor, donate: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """(p, g) ↦ p − lr · g, rounded once like the add_(g, alpha=-lr) of PyTorch's SGD.

    It is not written as add(p, g, alpha=-lr), since torch 2.13's compiler loses that alpha. If g is
    donated, the result takes its memory, unless they are laid out in different ways, or autograd or
    torch.func may follow p or g, which they do out of inference mode, and with a g from there.
    Whether they do follow them takes longer to find out than donation saves.
    """
    if isinstance(lr, Tensor):
        return lambda p, g: p.addcmul(g, lr, value=-1)
    lr = float(lr)  # by which no integers can be scaled
    if not donate or not torch.is_inference_mode_enabled():
        return lambda p, g: torch.sub(p, g, alpha=lr)

    def into(p: Tensor, g: Tensor) -> Tensor:
        if p.is_contiguous() and g.is_contiguous() and g.is_inference():
            try:
                return torch.sub(p, g, alpha=lr, out=g)
            except RuntimeError:  # torch.vmap, before anything is written
                pass
        return torch.sub(p, g, alpha=lr)

    return into
