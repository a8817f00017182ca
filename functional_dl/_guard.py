"""The checks around the maths of a layer or a loss, which itself has none.

A layer checks what it is called with. One that is made of others checks the params of all of them
at once and then runs their maths without further checks. Only when that fails does it run them once
more, each with its own checks, to find out which one is at fault.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple, ParamSpec, TypeAlias

import torch
from torch import Tensor

from functional_dl._errors import in_autocast, not_a, not_floating, not_keyed, not_like
from functional_dl.contract import (
    Call,
    Cotangents,
    Device,
    Dtype,
    Generator,
    Layer,
    Loss,
    LossPullback,
    LossVjp,
    Params,
    Pullback,
    Vjp,
    call_of,
    takes_generator,
)

P = ParamSpec("P")

Through: TypeAlias = Callable[[Tensor], Tensor]
"""Takes a cotangent of the output to that of the input."""


class Maths(NamedTuple):
    """What a constructor of layers returns: the maths of one, with no check in it.

    A layer has params, or consists of layers, or neither.

    Attributes:
        vjp: (params, x) ↦ (y, pullback), as in the contract; or (params, x, generator) ↦ the same.
        params: The shapes of params.
        draw: (params, generator) ↦ None, which fills params that have just been allocated.
        layers: The layers that it is made of, under the keys of their params.
        apply: (params, x) ↦ y, where that takes less than `vjp`.
        takes: Whether x may have this shape, and which ones it may have in words, for the message
            when the maths has raised.
        through: (params, x) ↦ (y, gy ↦ gx), as vjp, without the gradients of params; for a layer
            whose way back needs nothing of the way there but params and x.
        recomputed: Whether compiled code is to run vjp once more on the way back, for a layer with
            a `through` that comes after, rather than keep y; for a layer that has no params.
        below: If not 0, x holds whole numbers from 0 up and below this, such as tokens; y then has
            the dtype of params, and the cotangent of x is None.
    """

    vjp: Vjp
    params: dict[str, tuple[int, ...]] | None = None
    draw: Callable[[Params, Generator], object] | None = None
    layers: dict[str, Layer] | None = None
    apply: Callable[[Params, Tensor], Tensor] | None = None
    takes: tuple[Callable[[torch.Size], bool], str] | None = None
    through: Callable[[Params, Tensor], tuple[Tensor, Through]] | None = None
    recomputed: bool = False
    below: int = 0


def layer(constructor: Callable[P, Maths]) -> Callable[P, Layer]:
    """Turns a function that returns the maths of a layer into a constructor of layers.

    The layer refuses params of other keys and shapes than are declared, an x that is not floating,
    a y of another dtype than x has, which finds every promotion, a cotangent that is not like y,
    and what `torch.autocast` would round to another dtype. It is pickled and printed as the
    constructor's call.

    Args:
        constructor: Returns `Maths`. The layers that this is made of are arguments of it, in the
            same order.

    Returns:
        The constructor of a `Layer`.

    Raises:
        TypeError: The constructor raises it if its maths doesn't draw the params that it declares,
            or consists of other layers than are among the arguments.

    Example:
        >>> @layer
        ... def scale(features):
        ...     def vjp(params, x):
        ...         def pullback(gy, *, wrt_input=True):
        ...             return {"weight": (gy * x).sum(0)}, gy * params["weight"]
        ...         return x * params["weight"], pullback
        ...     return Maths(vjp, {"weight": (features,)}, lambda p, _: p["weight"].fill_(2))
        >>> scale(3)
        scale(3)
        >>> scale(3).apply(scale(3).init(), torch.tensor([1.0, 2.0, 3.0]))
        tensor([2., 4., 6.])
    """

    @wraps(constructor)
    def make(*args: P.args, **kwargs: P.kwargs) -> Layer:
        return _LayerCall(constructor(*args, **kwargs), make, args, kwargs).made()

    return make


def loss(constructor: Callable[P, LossVjp]) -> Callable[P, Loss]:
    """Turns a function that returns the vjp of a loss into a constructor of losses.

    The loss refuses a prediction that is not floating and a target that is not like it. It is
    pickled and printed as the constructor's call.

    Args:
        constructor: Returns (y, t) ↦ (value, pullback), as in the contract.

    Returns:
        The constructor of a `Loss`.
    """
    return _losses(_LossCall, constructor)


def loss_of_classes(constructor: Callable[P, LossVjp]) -> Callable[P, Loss]:
    """As `loss`, for a loss of a prediction (..., C) and a target (...) that is one of C classes.

    The loss refuses a target that is not int64 or of another shape, and one out of range where
    that makes the maths raise, as `torch.gather` does on a CPU.

    Args:
        constructor: Returns (y, t) ↦ (value, pullback), as in the contract.

    Returns:
        The constructor of a `Loss`.
    """
    return _losses(_LossOfClassesCall, constructor)


def _losses(kind: type[_LossCall], constructor: Callable[P, LossVjp]) -> Callable[P, Loss]:
    @wraps(constructor)
    def make(*args: P.args, **kwargs: P.kwargs) -> Loss:
        call = kind(constructor(*args, **kwargs), make, args, kwargs)
        return Loss(call.apply, call.vjp)

    return make


def maths_of(f: Layer) -> Maths | None:
    """The maths of a layer that `layer` has made."""
    call = call_of(f)
    return call.maths if isinstance(call, _LayerCall) else None


def unguarded(f: Layer) -> Vjp:
    """The vjp of a layer without its checks; of one that `layer` has not made, its vjp."""
    maths = maths_of(f)
    return maths.vjp if maths else f.vjp


def proven(f: Layer) -> bool:
    """Whether a layer is all of this package, so that its shapes need no look."""
    call = call_of(f)
    if not isinstance(call, _LayerCall) or not all(map(proven, call.layers.values())):
        return False
    return call.constructor.__module__.startswith("functional_dl.")


def unallocated(f: Layer) -> Params:
    """Params without memory, which have keys and shapes; no random number is used up."""
    with torch.random.fork_rng(devices=[]):
        return f.init(device="meta")


def rebuilt(f: Layer, part: Callable[[str, Layer], Layer]) -> Layer:
    """The same call of the same constructor, with part(key, g) in the place of each layer g."""
    call = call_of(f)
    assert call is not None
    parts = iter([part(k, g) for k, g in call.layers.items()])

    def argument(a: Any) -> Any:
        return next(parts) if isinstance(a, Layer) else a

    kwargs = {k: argument(a) for k, a in call.kwargs.items()}
    return call.constructor(*map(argument, call.args), **kwargs)


def with_vjp(f: Layer, vjp: Vjp) -> Layer:
    """The layer with another vjp in its checks."""
    call = call_of(f)
    if not isinstance(call, _LayerCall):
        return f._replace(vjp=vjp)
    maths = call.maths._replace(vjp=vjp)
    return _LayerCall(maths, call.constructor, call.args, call.kwargs).made()


class _LayerCall(Call):
    def __init__(self, maths: Maths, constructor: Any, args: Any, kwargs: Any) -> None:
        super().__init__(constructor, args, kwargs)
        self.maths, self.layers = maths, maths.layers or {}
        if bool(maths.params) != bool(maths.draw) or (maths.params and maths.layers):
            raise TypeError(f"{self.name}: expected params with a draw, or layers, got {maths}")
        given = [a for a in (*args, *kwargs.values()) if isinstance(a, Layer)]
        if given != [*self.layers.values()]:
            raise TypeError(f"{self.name}: expected its layers to be those among its arguments")
        self.shapes: dict[str, Any] = {k: tuple(s) for k, s in (maths.params or {}).items()}
        for k, f in self.layers.items():
            call = call_of(f)
            self.shapes[k] = call.shapes if isinstance(call, _LayerCall) else None
        self.floating, self.draws = (not maths.below,), takes_generator(maths.vjp)
        if maths.layers is not None:
            parts = self.layers.values()
            self.floating = _floating(next(iter(parts), None))
            self.draws = self.draws and any(f.draws for f in parts)

    def made(self) -> Layer:
        return Layer(self.init, self.apply, self.vjp)

    def init(
        self, generator: Generator = None, *, dtype: Dtype = None, device: Device = None
    ) -> Params:
        if generator is not None and not isinstance(generator, torch.Generator):
            hint = "a generator, such as torch.Generator().manual_seed(0)"
            raise not_a(f"{self.name}.init", "generator", generator, hint)
        if dtype is not None and not getattr(dtype, "is_floating_point", False):
            raise not_a(f"{self.name}.init", "dtype", dtype, "one of floating numbers")
        if self.layers:
            return {
                k: f.init(generator, dtype=dtype, device=device) for k, f in self.layers.items()
            }
        params = {k: torch.empty(s, dtype=dtype, device=device) for k, s in self.shapes.items()}
        if self.maths.draw:
            self.maths.draw(params, generator)
        return params

    def apply(self, params: Any, x: Any) -> Tensor:
        if not self.maths.apply:
            return self.vjp(params, x)[0]
        try:
            if not _fit(params, self.shapes):
                raise ValueError
            return self.maths.apply(params, x)
        except Exception:
            self.explain(params, x)
            raise

    def vjp(self, params: Any, x: Any, generator: Any = None) -> tuple[Tensor, Pullback]:
        given = () if generator is None else self.given(generator)
        try:
            dtype = x.dtype
            floating = dtype.is_floating_point
            if floating not in self.floating or not _fit(params, self.shapes):
                raise ValueError
            if dtype.itemsize == 2 and in_autocast(x):  # which may have cast params to it
                self.explain(params, x, *given)
            maths = self.maths.vjp  # a call with * takes longer
            y, pullback = maths(params, x, *given) if given else maths(params, x)
            if y.dtype is not dtype or not floating:
                if floating or not y.is_floating_point():
                    raise TypeError
                dtype = y.dtype
        except Exception:
            self.explain(params, x, *given)
            raise
        shape = y.shape

        def guarded(gy: Any, *, wrt_input: bool = True) -> Cotangents:
            if not isinstance(gy, Tensor) or gy.dtype is not dtype or gy.shape != shape:
                raise not_like(self.name, "the cotangent", gy, dtype, shape)
            given = [gy]
            del gy  # nobody holds it any longer than the pullback does
            grads, gx = pullback(given.pop(), wrt_input=wrt_input)
            g: Any = gx if gx is not None or self.layers else _first(grads)
            if getattr(g, "dtype", dtype) is not dtype and in_autocast(g):
                raise not_like(self.name, "a gradient", g, dtype, g.shape)
            return grads, gx

        return y, guarded

    def given(self, generator: Any) -> tuple[torch.Generator]:
        if not isinstance(generator, torch.Generator):
            raise not_a(f"{self.name}", "generator", generator, "a torch.Generator")
        if not self.draws:
            raise TypeError(f"{self.name}: expected no generator, since nothing draws, got one")
        return (generator,)

    def explain(
        self, params: Any, x: Any, generator: Generator = None, *, path: str = ""
    ) -> tuple[Tensor, Pullback]:
        """Runs the maths once more, with checks in every layer, whose errors name its path."""
        name = f"{self.name} at {path}" if path else self.name
        if not isinstance(params, dict) or params.keys() != self.shapes.keys():
            raise not_keyed(name, "params", params, self.shapes)
        if not isinstance(x, Tensor):
            raise (not_floating if True in self.floating else _not_whole)(name, "x", x)
        maths = self.maths.vjp
        if self.layers:

            def explained(k: str, f: Layer) -> Layer:
                call, at = call_of(f), f"{path}.{k}" if path else k
                told = isinstance(call, _LayerCall)
                return f._replace(vjp=partial(call.explain, path=at)) if told else f

            maths = unguarded(rebuilt(self.made(), explained))
        else:
            self.check(name, params, x)
        y, pullback = maths(params, x, generator) if self.draws else maths(params, x)
        if x.is_floating_point():
            if y.dtype is not x.dtype:
                raise not_like(name, "y", y, x.dtype, y.shape)
        elif False not in self.floating or not y.is_floating_point():
            raise not_floating(name, "x", x)
        return y, pullback

    def check(self, name: str, params: Params, x: Any) -> None:
        """Raises what is wrong with x or a leaf of params."""
        takes, below = self.maths.takes, self.maths.below
        if below:
            if x.dtype not in (torch.int64, torch.int32):
                raise _not_whole(name, "x", x)
            if x.numel() and (x.amin() < 0 or x.amax() >= below):
                got = f"got numbers from {x.amin()} to {x.amax()}"
                raise ValueError(f"{name}: expected x from 0 to {below - 1}, {got}")
        elif not x.is_floating_point():
            raise not_floating(name, "x", x)
        if takes and not takes[0](x.shape):
            raise ValueError(f"{name}: expected x of shape {takes[1]}, got {tuple(x.shape)}")
        for k, shape in self.shapes.items():
            p, dtype = params[k], x.dtype
            if below:
                dtype = p.dtype if getattr(p, "is_floating_point", bool)() else torch.float32
            if not isinstance(p, Tensor) or p.dtype != dtype or p.shape != shape:
                error = not_like(name, f"params[{k!r}]", p, dtype, shape)
                if isinstance(p, Tensor) and p.is_floating_point() and p.dtype != dtype:
                    error.args = (f"{error}: x is {x.dtype}; x.to({p.dtype}) converts it",)
                raise error


class _LossCall(Call):
    def __init__(self, maths: LossVjp, constructor: Any, args: Any, kwargs: Any) -> None:
        super().__init__(constructor, args, kwargs)
        self.maths = maths

    def apply(self, y: Any, t: Any) -> Tensor:
        return self.vjp(y, t)[0]

    def vjp(self, y: Any, t: Any) -> tuple[Tensor, LossPullback]:
        if not isinstance(y, Tensor) or not (dtype := y.dtype).is_floating_point:
            raise not_floating(self.name, "the prediction", y)
        if not isinstance(t, Tensor) or t.shape != y.shape or t.dtype is not dtype:
            raise not_like(self.name, "the target", t, dtype, y.shape)
        return self.maths(y, t)


class _LossOfClassesCall(_LossCall):
    def vjp(self, y: Any, t: Any) -> tuple[Tensor, LossPullback]:
        if not isinstance(y, Tensor) or not y.is_floating_point():
            raise not_floating(self.name, "the prediction", y)
        *shape, classes = y.shape or (0,)
        if not classes:
            got = tuple(y.shape)
            raise ValueError(f"{self.name}: expected a prediction of shape (..., C), got {got}")
        if not isinstance(t, Tensor) or t.dtype is not torch.int64 or [*t.shape] != shape:
            raise not_like(self.name, "the target", t, torch.int64, shape)
        try:
            return self.maths(y, t)
        except RuntimeError as error:
            if "out of bounds" in str(error):
                what = f"targets from 0 to {classes - 1}, got: {error}"
                raise ValueError(f"{self.name}: expected {what}") from error
            raise


def _not_whole(name: str, what: str, x: object) -> TypeError:
    return not_a(name, what, x, "a tensor of int64 or int32")


def _floating(f: Layer | None) -> tuple[bool, ...]:
    """Whether x may be floating; somebody's own functions may take either."""
    call = call_of(f) if f else None
    return call.floating if isinstance(call, _LayerCall) else (True, False)


def _first(grads: Any) -> Any:
    """The first gradient of a layer, if it has any."""
    return next(iter(grads.values()), None) if isinstance(grads, dict) else None


def _fit(params: Any, shapes: dict[str, Any]) -> bool:
    """Whether params have these keys and shapes; where None stands, whoever gets them checks."""
    if len(params) != len(shapes) or (not shapes and params != {}):
        return False
    for k, shape in shapes.items():
        p = params[k]
        if type(shape) is tuple:
            if p.shape != shape:
                return False
        elif not shape:
            if shape is not None and p != shape:
                return False
        elif not _fit(p, shape):
            return False
    return True
