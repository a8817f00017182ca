"""Checks that a layer or a loss keeps its contract and has the right gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from functional_dl._differences import (
    by_size,
    find_mismatch,
    rounding_of_change,
    sizes_of,
    sizes_of_output,
)
from functional_dl._errors import not_floating, not_keyed, not_like
from functional_dl._numerics import BITS
from functional_dl._tree import tree_leaves, tree_map
from functional_dl.contract import Layer, Loss, Params
from functional_dl.value_and_update import updating

# What a message says about property 1, 2, …
_BROKEN = "", "values differ", "unlike", "changed", "impure", "not linear", "not the derivative"


class VjpError(AssertionError):
    """A layer or a loss breaks its contract; the message says which property, and where."""


def check_vjp(f: Layer | Loss, *primals: Any, batch: int | None = 0) -> dict[str, float]:
    """Checks that f keeps its contract at these primals, and that its gradient is its derivative.

    These properties are checked one after the other:

    1. apply and vjp return the same value, bit for bit: a floating tensor, finite unless a primal
       is empty, and for a loss a scalar.
    2. Each gradient has the structure, shapes and dtypes of its primal, with None for integers, and
       is finite where it is so in float64. With wrt_input=False, the gradients of params are the
       same and that of the input is None. The gradients of params share no memory with each other,
       the gradient of the input, the cotangent or those of another call. In a layer that is made of
       layers, they are those that its layers give, as `value_and_update` relies on.
    3. f changes nothing that it is given: neither params nor input nor cotangent.
    4. f is pure. The same call returns the same bits again. So does the same pullback, even after
       vjp has been called at other primals and after what it has returned has been written over.
       No call changes what an earlier one has returned, or draws from torch's global generator.
    5. The pullback is linear: it takes zero to zero, sums to sums and multiples to multiples.
    6. The gradient is the derivative, as estimated by central differences of apply. A leaf of up to
       256 elements is checked one element at a time. A larger one is checked along some random
       directions, which are halved where that fails, until the wrong element is found.
    7. 1 to 5 also hold for strided primals with NaN in the gaps, or ones between integers, where
       value and gradients are the same; and 1 to 6 for an empty batch.

    A layer that draws is checked without a generator, and then with a new one from seed 0 in each
    call.

    5 and 6 are checked in float64, within the error bound derived in `functional_dl._differences`.
    Each element is moved by its own size times 8⁻⁵ or so, and if that doesn't settle it, by 8⁻¹⁵
    times its size and more, up to the largest of its leaf and at least 1. Where f raises an error
    or isn't finite, it has no value there, and one side is enough. The other primals of 4 are the
    same reversed in all dimensions and 1/64 smaller, targets and integers not; if f raises an error
    for these, the same with the batch reversed, or the same. Random numbers are drawn from seed 0.

    Cost: 6 calls apply 4 times for most elements, and some 40 times for one at a kink or on which f
    hardly depends. A leaf of more than 256 elements takes 20 to 200 calls in all, and some 300 more
    for each kink.

    Limits:

    - f is checked at these primals only. Choose some that are positive, negative and at kinks, and
      also a batch of one.
    - At a kink, such as ReLU's at 0, any number from the left to the right derivative passes. Where
      several units within f are at a kink at once, the chain rule does not hold, and a right f may
      fail.
    - A relative error of 1e-6 may pass, and what rounding covers: outputs y change by less than
      64 · 2⁻⁵³ Σ |y| unseen. For Y = X + c with 40 numbers of size 1 in X, this is an error of 1e-6
      at c = 1e6, 1e-4 at 1e8, and at 1e12 all. Outputs that differ by a factor of a million hide
      nothing of each other. What this call may not have seen, it returns.
    - f must run in float64. What goes wrong only in a narrower dtype can fail 1 to 4, but not 5 or
      6. Overflow fails 1. An f that loses most of its digits on the way may fail, right or not, as
      x + 1e8 − 1e8 does, or a variance that is computed from squares of 1e4.

    Args:
        f: A layer, or a loss.
        *primals: params and x for a layer; y, t and what else it takes for a loss. params are a
            dict, the others tensors, or tuples, lists and dicts of tensors. All must be finite, and
            params and y floating.
        batch: The dimension of x, or of y, that counts samples, or None if there is no such. In 4
            and 7, all inputs, targets and so on that are as long in this dimension are taken for
            samples too, if there are two dimensions or more.

    Returns:
        For each leaf, under the path of its gradient, the largest error of an element that may have
        passed, beside what a kink allows. It is relative to that element of the gradient, or to the
        largest one where that is 0. A number of 1 or more says that there is an element of which
        nothing was seen.

    Raises:
        VjpError: A property does not hold. In 7, this includes that f raises an error; before 7,
            errors of f are passed on.
        TypeError: f is neither a layer nor a loss, or a primal is of the wrong kind.
        ValueError: A primal is not finite, or batch is no dimension.

    Example:
        >>> def leaky_relu(slope, slope_back):
        ...     def vjp(params, x):
        ...         def pullback(gy, *, wrt_input=True):
        ...             return {}, gy.where(x > 0, gy * slope_back) if wrt_input else None
        ...         return x.where(x > 0, x * slope), pullback
        ...     return Layer(lambda *_, **__: {}, lambda p, x: vjp(p, x)[0], vjp)
        >>> x = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
        >>> check_vjp(leaky_relu(0.25, 0.25), {}, x)  # doctest: +ELLIPSIS
        {'x': 4.25...e-09}
        >>> check_vjp(leaky_relu(0.25, 0.5), {}, x)  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
        Traceback (most recent call last):
        functional_dl.check_vjp.VjpError: check_vjp: 6, not the derivative: x[0, 1]:
            analytic 0.70781987..., numeric 0.35390993..., tolerance ...e-1...
    """
    is_loss = isinstance(f, Loss)
    if not isinstance(f, (Layer, Loss)) or len(primals) < 2 or (len(primals) > 2 and not is_loss):
        what = f"{f!r} and {len(primals)} primals"
        raise TypeError(f"check_vjp: expected a Layer or a Loss, and two primals, got {what}")
    if not is_loss and not isinstance(primals[0], dict):
        raise not_keyed("check_vjp", "params", primals[0], ())
    others = [f"primals[{i}]" for i in range(2, len(primals))]
    named: Params = dict(zip(("y", "t", *others) if is_loss else ("", "x"), primals))
    for name, primal in named.items():
        for path, leaf in _leaves({name: primal}):
            may_be_whole = name not in ("", "y")
            if not isinstance(leaf, Tensor) or not (leaf.is_floating_point() or may_be_whole):
                raise not_floating("check_vjp", path, leaf)
            if not leaf.isfinite().all():
                raise ValueError(f"check_vjp: expected {path} to be finite, got {leaf}")
    case = _Case("check_vjp", f, named, batch, torch.clone)
    cases = [case]
    if isinstance(f, Layer) and f.draws:
        cases.append(_changed(case, "with a generator", f=_drawing(f)))
    dims = case.counted.dim()
    if batch is not None and not 0 <= batch < max(dims, 1):
        said = f"a dimension of a tensor with {dims} of them"
        raise ValueError(f"check_vjp: expected batch to be {said}, got {batch}")
    with torch.random.fork_rng(devices=[]):
        torch.rand((), device="cpu")  # no seed leads to where the global generator is now
        missed: dict[str, float] = {}
        for case in cases:
            exact, run = _check_contract(case)
            for path, error in _check_derivative(exact, run).items():
                missed[path] = max(missed.get(path, 0.0), error)
            _check_layouts(case, exact, run)
    return missed


def _drawing(f: Layer) -> Layer:
    """f in training, which draws the same in each call."""

    def vjp(params: Params, x: Tensor) -> Any:
        return f.vjp(params, x, _seeded())

    return Layer(f.init, lambda params, x: vjp(params, x)[0], vjp)


@dataclass
class _Case:
    """What the properties are checked on. Each call of f is given new copies of its primals."""

    name: str
    f: Any
    primals: Params  # {"": params, "x": x} or {"y": y, "t": t, …}
    batch: int | None
    copy: Callable[[Tensor], Tensor]  # it decides the layout
    generator: torch.Generator = field(default_factory=lambda: _seeded())

    @property
    def is_layer(self) -> bool:
        return isinstance(self.f, Layer)

    @property
    def counted(self) -> Tensor:
        """The tensor whose samples are counted."""
        return tree_leaves(self.primals["x" if self.is_layer else "y"])[0]

    def with_samples(self, change: Callable[[Tensor, int], Tensor]) -> Params | None:
        """Primals after a change of those with as many samples as x or y, if these are a batch."""
        batch = self.batch
        if batch is None or self.counted.dim() < 2:
            return None
        samples = self.counted.shape[batch]

        def changed(p: Tensor) -> Tensor:
            return change(p, batch) if p.shape[batch : batch + 1] == (samples,) else p

        return {name: tree_map(changed, p) if name else p for name, p in self.primals.items()}

    def other_primals(self) -> list[Params]:
        """Primals that f may take as well; the last ones it does."""

        def changed(name: str, p: Tensor) -> Tensor:
            p = p.flip([*range(p.dim())])
            return p * (63 / 64) if p.is_floating_point() and name in ("", "x", "y") else p

        all_of_them = {k: tree_map(partial(changed, k), p) for k, p in self.primals.items()}
        return [all_of_them, self.with_samples(Tensor.flip) or self.primals, self.primals]

    def draw(self, like: Tensor) -> Tensor:
        """Random numbers of size 1 to 2, so that every element counts."""
        u = torch.rand(like.shape, generator=self.generator, dtype=torch.float64, device="cpu")
        u = u * 2 - 1
        return (u + u.sign()).to(like)

    def copies(self, primals: Params) -> Params:
        return tree_map(self.copy, primals)

    def vjp(self, given: Params) -> tuple[Any, Any]:
        """The value and the pullback, after checking that it is these (2)."""
        got = self.f.vjp(*given.values())
        if not _is_pair(got) or not callable(got[1]):
            raise self.unexpected("vjp to return (y, pullback)", got)
        return got[0], got[1]

    def pull(self, pullback: Any, gy: Tensor) -> Params:
        """The gradients by name, after checking that they are like the primals (2)."""
        grads: Params = {"y": pullback()} if not self.is_layer else self.both(pullback(gy))
        like = {name: _cotangent(self.primals[name]) for name in grads}
        self.pairs(2, primal=like, gradient=grads)
        return tree_map(lambda g: {} if g is None else g, grads)

    def both(self, got: Any) -> Params:
        """The gradients that a layer's pullback gave by name, after checking that it is two (2)."""
        if not _is_pair(got):
            raise self.unexpected("pullback(gy, wrt_input=…) to return (grads, gx)", got)
        return {"": got[0], "x": got[1]}

    def unexpected(self, what: str, got: Any) -> VjpError:
        said = tree_map(lambda t: f"tensor{[*t.shape]}" if isinstance(t, Tensor) else t, got)
        return self.error(2, f"expected {what}, got {said}")

    def pairs(self, number: int, **trees: Params) -> list[tuple[str, Tensor, Tensor]]:
        """The leaves of two trees, which must be alike in structure, shapes and dtypes."""
        both, (_, name) = trees.values(), trees
        expected, got = (tree_map(lambda t: "…" if isinstance(t, Tensor) else t, p) for p in both)
        if expected != got:
            what = f"{name}: expected the structure {expected}, got {got}"
            raise self.error(number, what)
        pairs = [(path, a, b) for path, a, b in _leaves(*both) if isinstance(a, Tensor)]
        for path, a, b in pairs:
            if b.shape != a.shape or b.dtype != a.dtype:
                raise self.error(number, not_like(name, path, b, a.dtype, a.shape))
        return pairs

    def compare(self, number: int, tolerance: Any = None, **trees: Params) -> None:
        """Raises an error unless two trees are equal; without a tolerance, bit for bit."""
        for path, a, b in self.pairs(number, **trees):
            if tolerance is None:
                bits = BITS[a.element_size()]
                wrong = a.contiguous().view(bits) != b.contiguous().view(bits)
            else:
                wrong = ~((a - b).abs() <= tolerance)
            if wrong.any():
                index = tuple(wrong.nonzero()[0].tolist())
                numbers = {name: t[index].item() for name, t in zip(trees, (a, b))}
                if tolerance is not None:
                    numbers["tolerance"] = float((torch.zeros_like(a) + tolerance)[index])
                raise self.error(number, f"{path}{[*index] or ''}", **numbers)

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


def _check_contract(case: _Case) -> tuple[_Case, _Run]:
    """Properties 1 to 5, each of which relies on those before; returns the case in float64."""
    state = torch.get_rng_state()
    given = [case.copies(case.primals) for _ in range(2)]
    value = case.f.apply(*given[0].values())
    y, pullback = case.vjp(given[1])
    _same_value(case, value, y)
    gy = case.draw(y) if case.is_layer else torch.ones_like(y)
    cotangents = [case.copy(gy) for _ in range(2)]
    grads = tree_map(torch.clone, case.pull(pullback, cotangents[0]))
    run = _Run(y, pullback, gy, {"value": y.clone()}, grads)
    _gradients_fit(case, run, cotangents[1])
    _nothing_changed(case, gy, given, cotangents)
    _pure(case, run, state)

    exact = replace(case, primals=tree_map(_to_float64, case.primals))
    try:
        y, pullback = exact.vjp(exact.copies(exact.primals))
    except Exception as error:
        error.add_note("check_vjp: this call of vjp was in float64")
        raise
    gy, value = gy.to(y), {"value": y.clone()}
    grads = tree_map(torch.clone, exact.pull(pullback, case.copy(gy)))
    wide = _Run(y, pullback, gy, value, grads)
    _finite(case, run, wide)
    _linear_pullback(exact, wide)
    return exact, wide


def _same_value(case: _Case, value: Any, y: Any) -> None:
    """Property 1."""
    for name, got in (("apply", value), ("vjp", y)):
        if not isinstance(got, Tensor) or not got.is_floating_point():
            raise case.error(1, not_floating(name, "value", got))
    case.compare(1, apply={"value": value}, vjp={"value": y})
    if not case.is_layer and y.dim() > 0:
        raise case.error(1, not_like("vjp", "value", y, y.dtype, ()))
    if all(leaf.numel() for _, leaf in _leaves(case.primals)):
        largest = torch.finfo(y.dtype).max
        case.compare(1, largest, zero={"value": torch.zeros_like(y)}, vjp={"value": y})


def _gradients_fit(case: _Case, run: _Run, cotangent: Tensor) -> None:
    """Property 2, but for what `pull` checks in each call, and `_finite`.

    In the end it writes into the gradients of params, as their owner may. What that breaks, the
    properties to come will show.
    """
    if not case.is_layer:
        return
    try:
        got = run.pullback(cotangent, wrt_input=False)
    except TypeError as error:
        if "wrt_input" not in str(error):
            raise
        raise case.error(2, f"expected pullback to take wrt_input, got {error}") from error
    first = case.both(got)
    gx = first.pop("x")
    case.compare(2, pullback={"": run.grads[""]}, without_x=first)
    if gx is not None:
        raise case.error(2, f"expected None for x with wrt_input=False, got {gx}")
    grads = case.pull(run.pullback, cotangent)
    others = [cotangent, *tree_leaves(grads["x"]), *tree_leaves(first)]
    for path, leaf in _leaves(grads[""]):
        if any(_overlap(leaf, other) for other in others):
            raise case.error(2, f"expected {path} to share no memory")
        others.append(leaf)
    if case.f.layers:
        subtracting = updating(case.f, partial(tree_map, torch.sub))
        _, pullback = subtracting.vjp(*case.copies(case.primals).values())
        expected = {"": tree_map(torch.sub, case.primals[""], grads[""]), "x": grads["x"]}
        case.compare(2, update=expected, value_and_update=case.pull(pullback, cotangent))
    with torch.inference_mode():  # there, those made in inference mode may be written into as well
        for leaf in tree_leaves(grads[""]):
            if leaf.is_contiguous():
                leaf.fill_(math.nan)


def _nothing_changed(
    case: _Case, gy: Tensor, given: list[Params], cotangents: list[Tensor]
) -> None:
    """Property 3."""
    before = {**case.primals, "cotangent": gy}
    for primals, cotangent in zip(given, cotangents):
        case.compare(3, before=before, after={**primals, "cotangent": cotangent})


def _pure(case: _Case, run: _Run, state: Tensor) -> None:
    """Property 4."""
    y, pullback = case.vjp(case.copies(case.primals))
    case.compare(4, first=run.value, again={"value": y})
    kept = case.pull(pullback, case.copy(run.gy))
    case.compare(4, first=run.grads, again=kept)
    for primals in case.other_primals():
        try:
            _, pullback = case.vjp(case.copies(primals))
            case.pull(pullback, case.copy(2 * run.gy))
            break
        except VjpError:
            raise
        except Exception:  # out of the domain of f
            continue
    case.compare(4, first=run.grads, later=kept)
    case.compare(4, first=run.grads, later=case.pull(run.pullback, case.copy(run.gy)))
    case.compare(4, first=run.value, later={"value": run.y})
    value = case.f.apply(*case.copies(case.primals).values())
    case.compare(4, first=run.value, later={"value": value})
    if not torch.equal(state, torch.get_rng_state()):
        raise case.error(4, "expected the state of the global generator to stay as it was")


def _finite(case: _Case, run: _Run, exact: _Run) -> None:
    """Property 2: a gradient is finite where it is so in float64, and no larger than its dtype."""
    for path, g, wide in _leaves(run.grads, exact.grads):
        wrong = ~g.isfinite() & wide.to(g.dtype).isfinite()
        if wrong.any():
            index = tuple(wrong.nonzero()[0].tolist())
            numbers = {"gradient": g[index].item(), "in_float64": wide[index].item()}
            raise case.error(2, f"{path}{[*index] or ''}", **numbers)


def _linear_pullback(case: _Case, run: _Run) -> None:
    """Property 5."""
    delta = _rounding(case, run)
    d = case.draw(run.y)
    for k, m in ((0, 0), (1, 1), (-1024, 0)) if case.is_layer else ():  # a loss's takes none
        parts = case.pull(run.pullback, case.copy(d))
        whole = case.pull(run.pullback, case.copy(k * run.gy + m * d))
        for path, g, part, both, p in _leaves(run.grads, parts, whole, case.primals):
            tolerance = (abs(k) + abs(m)) * _slack(delta, p)
            case.compare(5, tolerance, of_parts={path: k * g + m * part}, of_whole={path: both})


def _check_derivative(case: _Case, run: _Run) -> dict[str, float]:
    """Property 6; returns the errors that could be missed."""
    missed = {path: 0.0 for path, _ in _leaves(run.grads)}
    size = sizes_of_output(run.value["value"])
    for gy in by_size(run.gy, size):
        grads = case.pull(run.pullback, case.copy(gy))
        leaves = [leaf for leaf in _leaves(grads, case.primals) if leaf[1].numel()]
        delta = rounding_of_change(gy, size, [(g, p) for _, g, p in leaves])
        most = rounding_of_change(gy, size.clamp(min=1))
        for path, g, p in leaves:
            change = partial(_change, case, run, gy, p)
            error, wrong = find_mismatch(change, p, g, case.draw(p), delta, most)
            if wrong:
                raise case.error(6, f"{path}{wrong.index or ''}", **wrong.numbers)
            missed[path] = max(missed[path], error)
    return missed


def _change(case: _Case, run: _Run, gy: Tensor, p: Tensor, step: Tensor) -> float:
    """⟨gy, f(p + step) − f(p)⟩, NaN where f has no value."""
    moved = tree_map(lambda leaf: leaf + step if leaf is p else leaf, case.primals)
    try:
        change = float((gy * (case.f.apply(*moved.values()) - run.value["value"])).sum())
    except Exception:
        return math.nan
    return change if math.isfinite(change) else math.nan


def _check_layouts(case: _Case, exact: _Case, run: _Run) -> None:
    """Property 7, given what came of contiguous primals in float64."""
    strided = _changed(case, "7, strided with NaN in the gaps", copy=_with_gaps)
    with _errors_told(strided):
        _, its = _check_contract(strided)
        delta = _rounding(exact, run)
        values = [{"value": r.value["value"].nan_to_num()} for r in (run, its)]
        strided.compare(1, delta, contiguous=values[0], strided=values[1])
        for path, g, other, p in _leaves(run.grads, its.grads, exact.primals):
            strided.compare(6, _slack(delta, p), contiguous={path: g}, strided={path: other})
    none = case.with_samples(lambda p, batch: p.narrow(batch, 0, 0))
    if none:
        empty = _changed(case, "7, a batch of none", primals=none)
        with _errors_told(empty):
            _check_derivative(*_check_contract(empty))


@contextmanager
def _errors_told(case: _Case) -> Generator[None]:
    """In 7, errors of f are its faults."""
    try:
        yield
    except VjpError:
        raise
    except Exception as error:
        raise VjpError(f"{case.name}: {type(error).__name__}: {error}") from error


def _changed(case: _Case, name: str, **changes: Any) -> _Case:
    """Another case, with the same draws."""
    return replace(case, name=f"{case.name}: {name}", generator=_seeded(), **changes)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _rounding(case: _Case, run: _Run) -> float:
    """delta of the whole output."""
    leaves = ((g, p) for _, g, p in _leaves(run.grads, case.primals))
    return rounding_of_change(run.gy, sizes_of_output(run.value["value"]), leaves)


def _slack(delta: float, p: Tensor) -> Tensor:
    """What rounding may make of a gradient: what 6 tolerates at least, for h = 8⁻⁴."""
    return 8**4 * delta / sizes_of(p)


def _is_pair(got: Any) -> bool:
    return isinstance(got, (tuple, list)) and len(got) == 2


def _cotangent(primal: Any) -> Any:
    """What a gradient must be like: the same, with None for integers, and None if all are."""
    like = tree_map(lambda p: p if p.is_floating_point() else None, primal)
    leaves = tree_leaves(like)
    return None if leaves and all(leaf is None for leaf in leaves) else like


def _leaves(*trees: Any) -> list[Any]:
    """(path, leaf of each tree) for the leaves of trees, in the order of the paths."""
    first = trees[0]
    if not isinstance(first, (dict, list, tuple)):
        return [("", *trees)]
    found = [
        (f"{k}.{path}".strip("."), *leaves)
        for k in (first if isinstance(first, dict) else range(len(first)))
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
    """A copy with a NaN after each element, or a 1 after integers, in every dimension."""
    gaps = t.new_full([2 * n for n in t.shape], math.nan if t.is_floating_point() else 1)
    return gaps[(slice(None, None, 2),) * t.dim()].copy_(t)
