"""The errors for bad input. Each message says who raises it, what was expected and what came.

These functions return them: the conditions stand where they are raised, for with a call for each,
checks would take twice as long, and the step of a small network feels it. Only what a constructor
is given is checked here.
"""

from collections.abc import Iterable, Sequence
from numbers import Integral

import torch
from torch import Tensor


def _spell(dtype: torch.dtype, shape: Sequence[int]) -> str:
    return f"a {str(dtype).removeprefix('torch.')} tensor of shape {tuple(shape)}"


def _describe(value: object) -> str:
    return _spell(value.dtype, value.shape) if isinstance(value, Tensor) else repr(value)


def not_floating(name: str, what: str, x: object) -> TypeError:
    """For a tensor that must be of floating-point numbers and isn't."""
    return not_a(name, what, x, "a floating tensor")


def not_like(
    name: str, what: str, x: object, dtype: torch.dtype, shape: Sequence[int]
) -> TypeError | ValueError:
    """For a tensor that must have this dtype (else TypeError) and this shape (else ValueError)."""
    error = ValueError if isinstance(x, Tensor) and x.dtype == dtype else TypeError
    blame = ", within torch.autocast; convert params and inputs instead" if in_autocast(x) else ""
    return error(f"{name}: expected {what} to be {_spell(dtype, shape)}, got {_describe(x)}{blame}")


def in_autocast(x: object) -> bool:
    """Whether torch.autocast may have given, or may give, products with x another dtype."""
    if not isinstance(x, Tensor):
        return False
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def unpromoted(p: Tensor, x: Tensor) -> Tensor:
    """p, where a sum or a product with x could hide that it is of another dtype; `_guard` says."""
    if p.dtype is not x.dtype:
        raise TypeError
    return p


def not_a(name: str, what: str, value: object, kind: str) -> TypeError:
    """For what must be of another kind altogether."""
    return TypeError(f"{name}: expected {what} to be {kind}, got {_describe(value)}")


def not_keyed(name: str, what: str, tree: object, keys: Iterable[str]) -> TypeError | ValueError:
    """For what must be a dict (else TypeError) with exactly these keys (else ValueError)."""
    if not isinstance(tree, dict):
        return not_a(name, what, tree, "a dict")
    return ValueError(f"{name}: expected {what} with the keys {[*keys]}, got {[*tree]}")


def check_sizes(name: str, least: int = 1, **sizes: object) -> None:
    """Raises ValueError for what is no integer from least up."""
    for what, size in sizes.items():
        if not isinstance(size, Integral) or isinstance(size, bool) or size < least:
            kind = "a positive integer" if least else "an integer from 0 up"
            raise ValueError(f"{name}: expected {what} to be {kind}, got {size!r}")
