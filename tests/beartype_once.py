"""beartype for jaxtyping, which hands over a function within another anew at each call of that."""

from collections.abc import Callable
from typing import Any

from beartype import beartype

_checked: dict[Any, Callable[..., Any]] = {}


def beartype_once(empty: Callable[..., Any]) -> Callable[..., Any]:
    """What beartype makes of a function that has a signature and does nothing, or made of its like.

    jaxtyping checks arguments and results by calling such a function.
    """
    code = empty.__code__
    like = (
        *(empty.__module__, empty.__qualname__, code.co_code, code.co_varnames),
        # Types and not their names would be new at each call.
        *map(repr, (empty.__annotations__, empty.__defaults__, empty.__kwdefaults__)),
    )
    if like not in _checked:
        _checked[like] = beartype(empty)
    return _checked[like]
