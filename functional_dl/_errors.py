"""What is raised for bad input. Each message says who, what was expected and what came.

The conditions stand in the functions that raise these: with a call for each, the checks would take
twice as long, and the step of a small network feels it.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def _spell(dtype: torch.dtype, shape: Sequence[int]) -> str:
    return f"a {str(dtype).removeprefix('torch.')} tensor of shape {tuple(shape)}"


def _describe(value: object) -> str:
    return _spell(value.dtype, value.shape) if isinstance(value, Tensor) else repr(value)


def not_floating(where: str, name: str, x: object) -> TypeError:
    """For a tensor that must be of floating-point numbers and isn't."""
    return TypeError(f"{where}: expected {name} to be a floating tensor, got {_describe(x)}")


def not_like(
    where: str, name: str, x: object, dtype: torch.dtype, shape: Sequence[int]
) -> TypeError | ValueError:
    """For a tensor that must have this dtype (else TypeError) and this shape (else ValueError)."""
    error = ValueError if isinstance(x, Tensor) and x.dtype == dtype else TypeError
    return error(f"{where}: expected {name} to be {_spell(dtype, shape)}, got {_describe(x)}")


def not_keyed(where: str, name: str, tree: object, keys: Iterable[str]) -> TypeError | ValueError:
    """For what must be a dict (else TypeError) with exactly these keys (else ValueError)."""
    if not isinstance(tree, dict):
        return TypeError(f"{where}: expected {name} to be a dict, got {_describe(tree)}")
    return ValueError(f"{where}: expected {name} with the keys {[*keys]}, got {[*tree]}")
