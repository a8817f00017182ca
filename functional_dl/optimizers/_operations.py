"""What the rules of optimizers compute with, rounded as in PyTorch's.

A rule is written once, in operations that `OnOne` carries out on one leaf, and `OnEach` on lists of
leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.compiler import is_compiling

from functional_dl._numerics import Constant, rounded, written_on


def may_write() -> bool:
    """Whether what is donated may be written on, which autograd and torch.func must not follow.

    They may do so out of inference mode. Whether they do takes longer to find out than donation
    saves.
    """
    return not is_compiling() and torch.is_inference_mode_enabled()


class OnOne:
    """Carries out operations on a leaf.

    The result of one that names a home takes its memory, if that is donated and may be written on,
    unless it comes from out of inference mode, or x and home are laid out in different ways.

    Attributes:
        dtype: That of the leaf.
    """

    def __init__(self, dtype: torch.dtype, donate: bool) -> None:
        self.dtype = dtype
        self._writes = donate and may_write()

    def __call__(
        self, operation: Callable[..., Any], x: Any, *args: Any, home: Any = None, **options: Any
    ) -> Any:
        if self._writes and home is not None and x.is_contiguous() and home.is_contiguous():
            return written_on(home, operation, x, *args, **options)
        return operation(x, *args, **options)


class OnEach:
    """Carries out operations on lists of leaves: on the first of all, on the second, and so on.

    With small leaves, a call for each takes twice the time. A tensor that goes with every leaf
    becomes a list: what PyTorch has for these has right derivatives. Of homes, only what an
    operation before has made is written on, if anything may be: that saves a third of the time.

    Attributes:
        dtype: That of all leaves.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._writes = may_write()
        self._made: list[Any] = []

    def __call__(
        self, operation: Callable[..., Any], *args: Any, home: Any = None, **options: Any
    ) -> Any:
        x, count = args[0], len(args[0])
        lists = [a if isinstance(a, (list, tuple, float)) else [a] * count for a in args]
        if self._writes and home is x and any(x is made for made in self._made):
            _IN_PLACE[operation](*lists, **options)
            return x
        made = _FOR_EACH[operation](*lists, **options)
        self._made.append(made)
        return made


Operations: TypeAlias = OnOne | OnEach

_ARITHMETIC: tuple[Any, ...] = (
    *(torch.add, torch.addcdiv, torch.addcmul, torch.div),
    *(torch.lerp, torch.mul, torch.sqrt, torch.sub),
)
# PyTorch's optimizers use these operations too, under names that are private.
_IN_PLACE: dict[Any, Callable[..., Any]] = {
    f: getattr(torch, f"_foreach_{f.__name__}_") for f in _ARITHMETIC
}
_FOR_EACH: dict[Any, Callable[..., Any]] = {
    f: getattr(torch, f"_foreach_{f.__name__}") for f in _ARITHMETIC
} | {
    torch.full_like: lambda xs, value: [torch.full_like(x, value) for x in xs],
    Tensor.where: lambda *lists: [x.where(*of) for x, *of in zip(*lists, strict=True)],
}
sub_each = _FOR_EACH[torch.sub]


def minus_multiple(do: Operations, p: Any, lr: float | Tensor, g: Any, home: Any = None) -> Any:
    """p − lr · g, rounded once like the add_(g, alpha=-lr) of PyTorch's SGD.

    It is not written as add(p, g, alpha=-lr), since torch 2.13's compiler loses that alpha.
    """
    if isinstance(lr, Tensor):
        return do(torch.addcmul, p, g, lr, value=-1)
    return do(torch.sub, p, g, alpha=float(lr), home=home)  # by a float, no integers are scaled


def minus_ratio(do: Operations, p: Any, size: float | Tensor, a: Any, b: Any, home: Any) -> Any:
    """p − size · a / b, which may take the memory of b, and home's on its way.

    Like the addcdiv_(a, b, value=-size) of PyTorch's optimizers, the product is rounded before the
    quotient is; half precision is computed in single precision and rounded once, at the end.
    """
    if do.dtype.itemsize == 2:
        single = OnOne(torch.float32, donate=False)
        return minus_ratio(single, p.float(), size, a.float(), b.float(), home).to(p.dtype)
    if not isinstance(size, Tensor):
        return do(torch.addcdiv, p, a, b, value=-size, home=b)
    a = do(torch.mul, a, rounded(size, do.dtype), home=home)
    return do(torch.addcdiv, p, a, b, value=-1, home=b)


ONE, _HALF = Constant(1.0), Constant(0.5)


def known(number: Tensor) -> float | Tensor:
    """The value of a 0-d tensor; the tensor itself where that isn't to be looked at.

    That is in `torch.vmap`, and where something is traced or compiled. An operation on a tensor of
    one number takes as long as one on a small leaf.
    """
    if type(number) is Tensor and not is_compiling():
        try:
            return number.item()
        except RuntimeError:  # torch.vmap
            pass
    return number


def less_power(base: Constant, exponent: float | Tensor) -> Any:
    """1 − bᵗ, of a constant b."""
    exact = base[torch.float64]
    if isinstance(exponent, Tensor):
        return ONE[torch.float64] - exact**exponent
    return 1 - exact.item() ** exponent


def quotient(number: float | Tensor, by: float | Tensor) -> Any:
    """number / by: of a Python number by a tensor, PyTorch makes a product with 1 / by."""
    if isinstance(by, Tensor) and not isinstance(number, Tensor):
        number = torch.full_like(by, number)
    return number / by


def square_root(number: float | Tensor) -> Any:
    """√number, rounded as Python's number ** 0.5, which isn't always sqrt's."""
    return torch.pow(number, _HALF[torch.float64]) if isinstance(number, Tensor) else number**0.5
