"""Checks that a layer or a loss keeps its contract and has the right gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from functional_dl._differences import find_mismatch, rounding_of_change, scale_of
from functional_dl._errors import not_floating, not_keyed, not_like
from functional_dl._numerics import BITS
from functional_dl._tree import tree_map
from functional_dl.contract import Layer, Loss, Params

# What a message says about property 1, 2, …
_BROKEN = "", "values differ", "unlike", "changed", "impure", "not linear", "not the derivative"


class VjpError(AssertionError):
    """A layer or a loss breaks its contract; the message says which property, and where."""


def check_vjp(f: Layer | Loss, *primals: Any) -> None:
    """Checks that f keeps its contract at these primals, and that its gradient is its derivative.

    These properties are checked one after the other:

    1. apply and vjp return the same value, bit for bit: finite, unless a primal is empty, and for a
       loss a scalar.
    2. Each gradient has the structure, shapes and dtypes of its primal. With wrt_input=False, the
       gradients of params are the same and that of the input is None. The gradients of params share
       no memory with each other, the gradient of the input or the cotangent.
    3. f changes nothing that it is given: neither params nor input nor cotangent.
    4. f is pure. The same call returns the same bits again. So does the same pullback, even after
       vjp has been called at other primals. No call changes the value of an earlier one.
    5. The pullback is linear: it takes zero to zero, sums to sums and multiples to multiples.
    6. The gradient is the derivative, as estimated by central differences of apply. A leaf of up to
       256 elements is checked one element at a time. A larger one is checked along a random
       direction, which is halved where that fails, until the wrong element is found.
    7. All this also holds for strided primals with NaN in the gaps and, if the input has two
       dimensions or more, for an empty batch.

    5 and 6 are checked in float64, within the error bound derived in `functional_dl._differences`.
    All random numbers are drawn from seed 0.

    Cost: 6 calls apply 4 times for each element in which f is linear, 6 to 12 times for others, and
    26 times at a kink. A leaf of more than 256 elements takes 4 to 20 calls in all, and some 50
    more for each kink. 7 doubles that.

    Limits:

    - f is checked at these primals only. Choose some that are positive, negative and at kinks, and
      also a batch of one.
    - At a kink, such as ReLU's at 0, any number from the left to the right derivative passes. Where
      several units within f are at a kink at once, the chain rule does not hold, and a right f may
      fail.
    - A relative error of about 1e-8 may pass, or 1e-7 in one of thousands of elements.
    - f must run in float64. What goes wrong only in a narrower dtype can fail 1 to 4, but not 5 or
      6. Overflow fails 1.

    Args:
        f: A layer, or a loss.
        *primals: params and x for a layer, y and t for a loss. Their tensors must be floating and
            finite, except that t may hold integers.

    Raises:
        VjpError: A property does not hold. In 7, this includes that f raises an error; before 7,
            errors of f are passed on.
        TypeError: f is neither a layer nor a loss, or a primal is of the wrong kind.
        ValueError: A primal is not finite.

    Example:
        >>> def leaky_relu(slope, slope_back):
        ...     def vjp(params, x):
        ...         def pullback(gy, *, wrt_input=True):
        ...             return {}, gy.where(x > 0, gy * slope_back) if wrt_input else None
        ...         return x.where(x > 0, x * slope), pullback
        ...     return Layer(lambda *_, **__: {}, lambda p, x: vjp(p, x)[0], vjp)
        >>> x = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
        >>> check_vjp(leaky_relu(0.25, 0.25), {}, x)
        >>> check_vjp(leaky_relu(0.25, 0.5), {}, x)  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
        Traceback (most recent call last):
        functional_dl.check_vjp.VjpError: check_vjp: 6, not the derivative: x[0, 1]:
            analytic 0.70781987..., numeric 0.35390993..., tolerance 2.2...e-10
    """
    if not isinstance(f, (Layer, Loss)) or len(primals) != 2:
        what = f"{f!r} and {len(primals)} primals"
        raise TypeError(f"check_vjp: expected a Layer or a Loss, and two primals, got {what}")
    is_layer = isinstance(f, Layer)
    if is_layer and not isinstance(primals[0], dict):
        raise not_keyed("check_vjp", "params", primals[0], ())
    named: Params = dict(zip(("", "x") if is_layer else ("y", "t"), primals))
    for path, leaf in _leaves(named):
        if not isinstance(leaf, Tensor) or not (leaf.is_floating_point() or path == "t"):
            raise not_floating("check_vjp", path, leaf)
        if not leaf.isfinite().all():
            raise ValueError(f"check_vjp: expected {path} to be finite, got {leaf}")
    _check_properties(_Case("check_vjp", f, named, torch.clone))
    _check_layouts(f, named)


@dataclass
class _Case:
    """What the properties are checked on. Each call of f is given new copies of its primals."""

    name: str
    f: Any
    primals: Params  # {"": params, "x": x} or {"y": y, "t": t}
    copy: Callable[[Tensor], Tensor]  # it decides the layout
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    @property
    def is_layer(self) -> bool:
        return isinstance(self.f, Layer)

    def other_primals(self) -> Params:
        """Primals that f can be called with just as well: the same, reversed and halved."""
        return tree_map(lambda p: p.flip([*range(p.dim())]).div(2).to(p), self.primals)

    def draw(self, like: Tensor) -> Tensor:
        """Random numbers of size 1 to 2, so that every element counts."""
        u = torch.rand(like.shape, generator=self.generator, dtype=torch.float64) * 2 - 1
        return (u + u.sign()).to(like)

    def apply(self, primals: Params) -> Tensor:
        return self.f.apply(*tree_map(self.copy, primals).values())

    def vjp(self, primals: Params) -> tuple[Tensor, Any]:
        return self.f.vjp(*tree_map(self.copy, primals).values())

    def pull(self, pullback: Any, gy: Tensor) -> Params:
        """Copies of the gradients by name, after checking that they are like the primals (2)."""
        names = ("", "x") if self.is_layer else ("y",)
        grads: Params = dict(
            zip(names, pullback(gy) if self.is_layer else (pullback(),), strict=True)
        )
        self.pairs(2, primal={name: self.primals[name] for name in names}, gradient=grads)
        return tree_map(torch.clone, grads)

    def pairs(self, number: int, **trees: Params) -> list[tuple[str, Tensor, Tensor]]:
        """The leaves of two trees, which must be alike in structure, shapes and dtypes."""
        both, (_, name) = trees.values(), trees
        expected, got = (tree_map(lambda t: "…" if isinstance(t, Tensor) else t, p) for p in both)
        if expected != got:
            what = f"{name}: expected the structure {expected}, got {got}"
            raise self.error(number, what)
        pairs = _leaves(*both)
        for path, a, b in pairs:
            if b.shape != a.shape or b.dtype != a.dtype:
                raise self.error(number, not_like(name, path, b, a.dtype, a.shape))
        return pairs

    def compare(self, number: int, tolerance: float | None = None, **trees: Params) -> None:
        """Raises an error unless two trees are equal; without a tolerance, bit for bit."""
        for path, a, b in self.pairs(number, **trees):
            if tolerance is None:
                bits, limit = BITS[a.element_size()], {}
                wrong = a.contiguous().view(bits) != b.contiguous().view(bits)
            else:
                wrong, limit = ~((a - b).abs() <= tolerance), {"tolerance": tolerance}
            if wrong.any():
                index = wrong.nonzero()[0].tolist()
                numbers = {name: t[tuple(index)].item() for name, t in zip(trees, (a, b))}
                raise self.error(number, f"{path}{index or ''}", **numbers, **limit)

    def error(self, number: int, what: object, **numbers: float) -> VjpError:
        digits = 10 if "tolerance" in numbers else 17
        said = ", ".join(f"{name} {v:.{digits}g}" for name, v in numbers.items())
        return VjpError(f"{self.name}: {number}, {_BROKEN[number]}: {what}{said and f': {said}'}")


class _Run(NamedTuple):
    """What vjp and its pullback gave. No later call can change value and grads: they are copies."""

    y: Tensor
    pullback: Any
    gy: Tensor
    value: Params
    grads: Params


def _check_properties(case: _Case) -> None:
    """Properties 1 to 6, each of which relies on those before."""
    given = [tree_map(case.copy, case.primals) for _ in range(2)]
    value, (y, pullback) = case.f.apply(*given[0].values()), case.f.vjp(*given[1].values())
    _same_value(case, value, y)
    gy = case.draw(y) if case.is_layer else torch.ones_like(y)
    cotangents = [case.copy(gy) for _ in range(2)]
    value = {"value": y.clone()}
    run = _Run(y, pullback, gy, value, case.pull(pullback, cotangents[0]))
    _gradients_fit(case, run, cotangents[1])
    _nothing_changed(case, gy, given, cotangents)
    _pure(case, run)

    case = replace(case, primals=tree_map(_to_float64, case.primals))
    y, pullback = case.vjp(case.primals)
    gy, value = gy.to(y), {"value": y.clone()}
    run = _Run(y, pullback, gy, value, case.pull(pullback, case.copy(gy)))
    pairs = [(g, p) for _, g, p in _leaves(run.grads, case.primals)]
    delta = rounding_of_change(gy, y, pairs)
    _linear_pullback(case, run, delta)
    _gradient_is_derivative(case, run, delta)


def _same_value(case: _Case, value: Any, y: Any) -> None:
    """Property 1."""
    case.compare(1, apply={"value": value}, vjp={"value": y})
    if not case.is_layer and y.dim() > 0:
        raise case.error(1, not_like("vjp", "value", y, y.dtype, ()))
    if all(leaf.numel() for _, leaf in _leaves(case.primals)):
        largest = torch.finfo(y.dtype).max
        case.compare(1, largest, zero={"value": torch.zeros_like(y)}, vjp={"value": y})


def _gradients_fit(case: _Case, run: _Run, cotangent: Tensor) -> None:
    """Property 2, but for what `pull` checks in each call."""
    if not case.is_layer:
        return
    grads, gx = run.pullback(cotangent, wrt_input=False)
    case.compare(2, pullback={"": run.grads[""]}, without_x={"": grads})
    if gx is not None:
        raise case.error(2, f"expected None for x with wrt_input=False, got {gx}")
    grads, gx = run.pullback(cotangent)
    others = [cotangent, gx]
    for path, leaf in _leaves(grads):
        if any(_overlap(leaf, other) for other in others):
            raise case.error(2, f"expected {path} to share no memory")
        others.append(leaf)


def _nothing_changed(
    case: _Case, gy: Tensor, given: list[Params], cotangents: list[Tensor]
) -> None:
    """Property 3."""
    before = {**case.primals, "cotangent": gy}
    for primals, cotangent in zip(given, cotangents):
        case.compare(3, before=before, after={**primals, "cotangent": cotangent})


def _pure(case: _Case, run: _Run) -> None:
    """Property 4."""
    y, pullback = case.vjp(case.primals)
    case.compare(4, first=run.value, again={"value": y})
    case.compare(4, first=run.grads, again=case.pull(pullback, case.copy(run.gy)))
    _, pullback = case.vjp(case.other_primals())
    case.pull(pullback, case.copy(run.gy))
    case.compare(4, first=run.grads, later=case.pull(run.pullback, case.copy(run.gy)))
    case.compare(4, first=run.value, later={"value": run.y})
    case.compare(4, first=run.value, later={"value": case.apply(case.primals)})


def _linear_pullback(case: _Case, run: _Run, delta: float) -> None:
    """Property 5.

    For one gradient, property 6 tolerates at least delta / (h scale) with h = 8⁻⁴. The same is
    tolerated here, times |k| + |m|, for k times one cotangent plus m times another.
    """
    d = case.draw(run.y)
    for k, m in ((0, 0), (1, 1), (-1024, 0)) if case.is_layer else ():  # a loss's takes none
        parts = case.pull(run.pullback, case.copy(d))
        whole = case.pull(run.pullback, case.copy(k * run.gy + m * d))
        for path, g, part, both, p in _leaves(run.grads, parts, whole, case.primals):
            tolerance = (abs(k) + abs(m)) * 8**4 * delta / scale_of(p)
            case.compare(5, tolerance, of_parts={path: k * g + m * part}, of_whole={path: both})


def _gradient_is_derivative(case: _Case, run: _Run, delta: float) -> None:
    """Property 6."""
    for path, g, p in _leaves(run.grads, case.primals):

        def change(step: Tensor, p: Tensor = p) -> float:
            moved = tree_map(lambda leaf: leaf + step if leaf is p else leaf, case.primals)
            return float((run.gy * (case.apply(moved) - run.value["value"])).sum())

        wrong = find_mismatch(change, p, g, case.draw(p), delta)
        if wrong:
            index, numbers = wrong
            raise case.error(6, f"{path}{index or ''}", **numbers)


def _check_layouts(f: Layer | Loss, primals: Params) -> None:
    """Property 7."""
    cases = [_Case("check_vjp: 7, strided with NaN in the gaps", f, primals, _with_gaps)]
    if primals["x" if isinstance(f, Layer) else "y"].dim() > 1:
        empty = {k: p[:0] if isinstance(p, Tensor) and p.dim() else p for k, p in primals.items()}
        cases.append(_Case("check_vjp: 7, a batch of none", f, empty, torch.clone))
    for case in cases:
        try:
            _check_properties(case)
        except VjpError:
            raise
        except Exception as error:
            raise VjpError(f"{case.name}: {type(error).__name__}: {error}") from error


def _leaves(*trees: Any) -> list[Any]:
    """(path, leaf of each tree) for the leaves of nested dicts, in the order of the paths."""
    if not isinstance(trees[0], dict):
        return [("", *trees)]
    found = [
        (f"{k}.{path}".strip("."), *leaves)
        for k in trees[0]
        for path, *leaves in _leaves(*(tree[k] for tree in trees))
    ]
    return sorted(found, key=lambda leaf: leaf[0])


def _overlap(a: Tensor, b: Tensor) -> bool:
    """Whether memory of one lies between the ends of the other's."""
    ends = [
        (t.data_ptr(), t[(slice(-1, None),) * t.dim()].data_ptr() + t.element_size())
        for t in (a, b)
    ]
    return bool(a.numel() and b.numel()) and ends[0][0] < ends[1][1] and ends[1][0] < ends[0][1]


def _to_float64(p: Tensor) -> Tensor:
    """A copy in any case, so that params which share a tensor can be told apart."""
    return p.to(torch.float64, copy=True) if p.is_floating_point() else p


def _with_gaps(t: Tensor) -> Tensor:
    """A copy with a NaN after each element, in every dimension."""
    gaps = t.new_full([2 * n for n in t.shape], math.nan if t.is_floating_point() else 0)
    return gaps[(slice(None, None, 2),) * t.dim()].copy_(t)
