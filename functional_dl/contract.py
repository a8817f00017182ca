"""The contract: what a layer and a loss are.

A layer is three pure functions over an explicit dict of parameters:

    init(generator=None, *, dtype=None, device=None) -> params
    apply(params, x) -> y                        forward
    vjp(params, x) -> (y, pullback)              forward, and the way back
    pullback(gy, *, wrt_input=True) -> (grads, gx)

`vjp` means what it means in `jax.vjp` and `torch.func.vjp`: `pullback` takes a cotangent gy of the
output to `grads`, of the structure of params, and to gx, which is like x, or None with
wrt_input=False. What the way back needs is kept in that closure and nowhere else, so a pullback
may be called any number of times and gives the same answer. `grads` share their memory with nothing
else, so that whoever has them may write new params there.

A loss is two pure functions of a prediction y and a target t:

    apply(y, t) -> value                         a scalar
    vjp(y, t) -> (value, pullback)
    pullback() -> gy                             the gradient of value with respect to y

Nothing that is passed in is changed, and nothing but `init` draws random numbers. Whatever keeps
to this is a layer or a loss, whoever wrote it.

A vjp may have three attributes, two for speed and memory and one for `summary`:

    vjp.unchecked       the same, but for an x and a gy that another layer made, and that are right
    vjp.takes_update    the pullback is pullback(gy, *, wrt_input=True, update=None)
    vjp.layers          the layers within, under the keys that their params have

With update, a function of params and grads, a pullback gives the new params in the place of grads,
those of each part as soon as they can be known, and lets go of what it kept: it is the last call.
"""

from collections.abc import Callable
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

    def __call__(self, gy: Tensor, *, wrt_input: bool = True) -> tuple[Params, Tensor | None]: ...


class Layer(NamedTuple):
    """A differentiable function of params and an input."""

    init: Init
    apply: Callable[[Params, Tensor], Tensor]
    vjp: Callable[[Params, Tensor], tuple[Tensor, Pullback]]


class Loss(NamedTuple):
    """A differentiable function of a prediction and a target."""

    apply: Callable[[Tensor, Tensor], Tensor]
    vjp: Callable[[Tensor, Tensor], tuple[Tensor, LossPullback]]
