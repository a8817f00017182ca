"""Arithmetic that rounds where PyTorch's own rounds, and that is quick: what formulas stand on.

In exact arithmetic each function is what its first line says. How it gets there, and which kernel
it takes, decides the last bits; its docstring says why it is this way.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.compiler import is_compiling

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""For a number of so many bytes, an integer that holds its bits."""

_ONE = torch.ones((), dtype=torch.float32, device="cpu")


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """X Wᵀ + b.

    PyTorch's linear adds b within the product, so that the sum isn't rounded once more, for x of
    two dimensions, and for contiguous x of any other number (ATen/native/Linear.cpp).
    """
    if x.dim() == 2:
        return x.mm(weight.mT) if bias is None else bias.addmm(x, weight.mT)
    shape = (*x.shape[:-1], weight.shape[0])
    if _is_fused(x, bias):
        return affine(_rows(x), weight, bias).reshape(shape)
    return affine(_rows(x), weight, None).reshape(shape) + bias


def affine_grads(gy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    """(∇Y)ᵀ X and 1_N ∇Y, under the names of weight and bias.

    The gradient of a factor of a product is laid out as the factor is, by rows or by columns, and
    the product that gives it is transposed accordingly, which sums in another order
    (mm_mat2_backward in ATen's FunctionsManual.cpp). Where the bias is not added within the
    product, its gradient is summed over the dimensions instead of the rows.
    """
    if gy.dim() != 2:
        fused = _is_fused(x, bias)
        grads = affine_grads(_rows(gy), _rows(x), weight, bias if fused else None)
        if bias is not None and not fused:
            grads["bias"] = gy.sum_to_size(bias.shape).clone()  # which may be gy itself
        return grads
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


def _is_fused(x: Tensor, bias: Tensor | None) -> bool:
    return bias is None or (x.is_contiguous() and bias.is_contiguous())


def where_positive(gy: Tensor, y: Tensor) -> Tensor:
    """∇Y where Y is positive or NaN, +0 elsewhere; for a Y that is not negative.

    A choice: a product with a mask would turn infinite cotangents to NaN, and lose a zero's sign.
    PyTorch's own choices branch for each element, which takes twenty times as long on a random
    mask. On the bits as integers it is a product again; but integers carry no derivative, so that
    is for inference mode, where nothing can be differentiated once more.
    """
    if is_compiling():
        return gy.masked_fill(y <= 0, 0)  # twice as fast as with y.bool() there
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

    As PyTorch's tanh_backward: 1 − Y² is rounded once, which addcmul does, and 1 - y * y does not.
    Half precision is widened, and rounded once, at the end.
    """
    if y.element_size() == 2:
        return times_one_minus_square(gy.float(), y.float()).to(y.dtype)
    derivative = (_ONE if y.is_cpu else _ONE.to(y.device)).addcmul(y, y, value=-1)
    try:
        return derivative.mul_(gy)  # 1 % of a step, of large networks too
    except RuntimeError:  # torch.vmap goes over gy alone
        return derivative * gy


def times_number(x: Tensor, number: float) -> Tensor:
    """X · number, which has the dtype of X: half precision rounds it before the product."""
    return x * x.new_full((), number)


def minus_multiple(p: Tensor, g: Tensor, lr: float | Tensor, donate: bool) -> Tensor:
    """p − lr · g, rounded once, as PyTorch's SGD does by add_(g, alpha=-lr); g's memory is donated.

    Not written with add and alpha=-lr, for torch 2.13's compiler loses that alpha.
    """
    if isinstance(lr, Tensor):
        return p.addcmul(g, lr, value=-1)
    # The memory of a gradient that isn't laid out as the new params is of no use.
    out = g if donate and p.is_contiguous() and g.is_contiguous() else None
    return torch.sub(p, g, alpha=lr, out=out)
