"""The contract: what a layer, a loss and an optimizer are.

A layer is three pure functions over an explicit dict of parameters:

    init(generator=None, *, dtype=None, device=None) -> params
    apply(params, x) -> y                        forward
    vjp(params, x) -> (y, pullback)              forward, and the way back
    pullback(gy, *, wrt_input=True) -> (grads, gx)

One that draws in training, as dropout does, takes a generator, and draws from nothing else:

    vjp(params, x, generator=None) -> (y, pullback)

`vjp` means what it means in `jax.vjp` and `torch.func.vjp`: `pullback` takes a cotangent gy of the
output to `grads`, of the structure of params, and to gx, which is like x, with None in the place of
integers, or None with wrt_input=False. What the way back needs is kept in that closure and nowhere
else, so a pullback may be called any number of times and gives the same answer; it keeps params, x
and y themselves, and if they are changed in place before it is called, its answer is another,
without an error. `grads` share their memory with nothing else, so that whoever has them may write
new params there. y has the dtype of x or, where x holds integers, that of params. Where a dimension
of x counts samples, there may be none.

A loss is two pure functions of a prediction y and a target t:

    apply(y, t) -> value                         a scalar
    vjp(y, t) -> (value, pullback)
    pullback() -> gy                             the gradient of value with respect to y

An optimizer is two pure functions:

    init(params) -> state
    update(params, grads, state, lr, *, donate=False) -> (params, state)

A state is a dict, of trees like params and of 0-d tensors, such as the number of steps, under
the names of `torch.optim`. Its structure, shapes and dtypes stay as they are. With donate=True, in
inference mode, what is new may take the memory of grads and state.

Nothing that is passed in is changed, but for the state of a generator, and nothing but `init` draws
random numbers without one. Whatever keeps to this is a layer, a loss or an optimizer, whoever wrote
it, and `check_vjp` tells whether a layer or a loss does.

The shortest way to write one is a constructor that returns the maths, decorated with `layer` or
`loss`: what is passed in is then checked, and the result can be pickled and printed.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

Params: TypeAlias = dict[str, Any]
"""Nested dicts whose leaves are tensors, named as PyTorch's modules name them."""

Generator: TypeAlias = torch.Generator | None
Dtype: TypeAlias = torch.dtype | None
Device: TypeAlias = torch.device | str | None

Update: TypeAlias = Callable[[Params, Params], Params]
"""Takes params and their gradients to new params."""

State: TypeAlias = dict[str, Any]
"""What an optimizer remembers: trees like params, and 0-d tensors."""

Cotangents: TypeAlias = tuple[Params, Tensor | None]
"""Those of params and of the input, which a pullback gives."""

LossPullback: TypeAlias = Callable[[], Tensor]
"""Gives the gradient with respect to the prediction."""


@runtime_checkable
class Init(Protocol):
    """Draws params from the generator, or from torch's global one."""

    def __call__(
        self, generator: Generator = None, *, dtype: Dtype = None, device: Device = None
    ) -> Params: ...


@runtime_checkable
class Pullback(Protocol):
    """Takes a cotangent of the output to those of params and input."""

    def __call__(self, gy: Tensor, *, wrt_input: bool = True) -> Cotangents: ...


Vjp: TypeAlias = Callable[..., tuple[Tensor, Pullback]]
"""Takes params and x, and a generator if the layer draws, to y and the pullback."""

LossVjp: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, LossPullback]]


class Layer(NamedTuple):
    """A differentiable function of params and an input."""

    init: Init
    apply: Callable[[Params, Tensor], Tensor]
    vjp: Vjp

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers that it is made of, under the keys that their params have."""
        call = call_of(self)
        return call.layers if call else {}

    @property
    def draws(self) -> bool:
        """Whether its vjp takes a generator."""
        call = call_of(self)
        return call.draws if call else takes_generator(self.vjp)

    def __repr__(self) -> str:
        return _spell(self)


class Loss(NamedTuple):
    """A differentiable function of a prediction and a target."""

    apply: Callable[[Tensor, Tensor], Tensor]
    vjp: LossVjp

    def __repr__(self) -> str:
        return _spell(self)


@runtime_checkable
class OptimizerUpdate(Protocol):
    """Takes params, their gradients and the state to new params and the new state."""

    def __call__(
        self,
        params: Params,
        grads: Params,
        state: State,
        lr: float | Tensor,
        *,
        donate: bool = False,
    ) -> tuple[Params, State]: ...


class Optimizer(NamedTuple):
    """What becomes of params and their gradients, and of what is remembered of those before."""

    init: Callable[[Params], State]
    update: OptimizerUpdate

    def __repr__(self) -> str:
        return _spell(self)


class Call:
    """The call of a constructor; its methods are the functions of what that makes.

    So these functions, and the layer, loss or optimizer, are pickled as the call, and printed so.
    """

    def __init__(
        self, constructor: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.constructor, self.args, self.kwargs = constructor, args, kwargs
        self.name = constructor.__name__
        self.layers: dict[str, Layer] = {}
        self.draws = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _repeat, (self.constructor, self.args, self.kwargs)

    def __repr__(self) -> str:
        given = [repr(a) for a in self.args if not isinstance(a, Layer)]
        given += [f"{k}={a!r}" for k, a in self.kwargs.items() if not isinstance(a, Layer)]
        lines = [f"{k}: {f!r}" for k, f in self.layers.items()]
        within = "\n".join([", ".join(given), *lines]).replace("\n", "\n  ")
        return f"{self.name}({within}\n)" if lines else f"{self.name}({within})"


def _repeat(constructor: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return constructor(*args, **kwargs)[-1].__self__


def takes_generator(vjp: Any) -> bool:
    """Whether it has an argument of this name."""
    while hasattr(vjp, "__wrapped__"):  # by what checks annotations
        vjp = vjp.__wrapped__
    code = getattr(vjp, "__code__", None)  # which compiled code can look at
    names = code.co_varnames[: code.co_argcount] if code else signature(vjp).parameters
    return "generator" in names


def call_of(f: Layer | Loss | Optimizer) -> Call | None:
    """The call that made it, unless it is a tuple of somebody's own functions."""
    owner = getattr(f[-1], "__self__", None)
    return owner if isinstance(owner, Call) else None


def _spell(f: Layer | Loss | Optimizer) -> str:
    call = call_of(f)
    return repr(call) if call else f"{name_of(f)}()"


def name_of(f: Layer | Loss | Optimizer) -> str:
    """The name of the constructor that made it, which somebody's own function has in its own."""
    call = call_of(f)
    name = getattr(f[-1], "__qualname__", type(f[-1]).__name__)
    return call.name if call else name.split(".<locals>.")[-2:][0]
