"""The sieve for layers and losses, one's own among them: does the way back fit the way there?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from functional_dl._errors import not_floating, not_keyed, not_like
from functional_dl._numerics import BITS
from functional_dl.contract import Layer, Loss, Params

_BREAKS = "", "values differ", "unlike", "changed", "impure", "not linear", "not the derivative"


class VjpError(AssertionError):
    """A layer or a loss breaks its contract; the message says which property, and where."""


def check_vjp(f: Layer | Loss, *primals: Any) -> None:
    """Returns if f keeps its contract at these primals, and its gradient is its derivative.

    1. apply and vjp give the same value in every bit, finite unless a primal is empty.
    2. Gradients have the structure, shapes and dtypes of what they belong to; wrt_input=False
       gives the same, and None. Those of params share their memory with nothing else.
    3. Nothing passed in has changed: params, input, cotangent.
    4. The same call gives the same bits again, and so does the same pullback, also after another
       vjp; no call changes the value of an earlier one.
    5. The pullback is linear: zero gives zero, sums and multiples carry over.
    6. Each element of a gradient is what a central difference gives. For a leaf of more than 256,
       a random direction t is tried, ⟨J t, c⟩ = ⟨t, Jᵀ c⟩, and halved where that doesn't hold,
       until the element is found. All draws are from seed 0.
    7. The same holds for strided primals with NaN in the gaps and, where the input has two
       dimensions or more, for a batch of none.

    5 and 6 are done in float64. Let a value be exact for outputs and primals that are off by a few
    ε = 2⁻⁵³ of their size; 64 leaves room for long sums. With random c, ⟨c, y⟩ is off by at most

        δ = 64 ε (Σ |c y| + Σ s |∇|)        s: the largest size in the leaf, 1 where all are 0

    and the difference D(h), over ± h s, by δ/h, by ρ = 64 ε (|right| + |left|) of its own, and by a
    term in h², of which |D(h) − D(8h)| holds 63. Of h = 8⁻⁴, 8⁻⁵, … that counts which allows least:

        |s ∇ − D(h)| ≤ |D(h) − D(8h)| + δ/h + ρ + |jump|/2

    The jump is the right derivative less the left, both extrapolated to h = 0: a term in h³ where f
    is smooth. At a kink, as of ReLU at 0, it lets pass just what is one of the two or between them.
    A kink nearby is left behind as h shrinks. A direction with a kink in it is halved too, so that
    no kink hides a fault elsewhere. 5 allows 8⁴ δ/s times the sizes of the multiples: what 6 does
    at least, since what cancels within a pullback doesn't show.

    Cost: for each element 4 calls of apply where f is linear in it, 6 to 12 elsewhere, 26 at a
    kink; for a leaf of more than 256, 4 to 20 in all and some 50 a kink; and all that twice, for 7.
    Limits: it sees f at these primals only, so give it both signs, the kinks and a batch of one.
    What only a narrower dtype does is seen by 1 to 4 alone, and f must run in float64. Overflow
    fails. An error of some 1e-8 of the gradient may pass, 1e-7 among thousands of elements. Where
    several units within f are at their kinks at once, the chain rule fails, and a right f may too.

    Args:
        f: A layer, or a loss.
        *primals: params and x, or y and t. Floating and finite; t may be integers.

    Raises:
        VjpError: f fails, in 7 also by raising something; before that, what it raises gets through.
        TypeError: f or a primal is of another kind.
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
    layer = isinstance(f, Layer)
    if layer and not isinstance(primals[0], dict):
        raise not_keyed("check_vjp", "params", primals[0], ())
    at: Params = dict(zip(("", "x") if layer else ("y", "t"), primals))
    for path, leaf in _leaves(at):
        if not isinstance(leaf, Tensor) or not (leaf.is_floating_point() or path == "t"):
            raise not_floating("check_vjp", path, leaf)
        if not leaf.isfinite().all():
            raise ValueError(f"check_vjp: expected {path} to be finite, got {leaf}")
    _check("check_vjp", f, at, torch.clone)
    # 7, the same again
    cases: list[Any] = [("strided with NaN in the gaps", at, _gapped)]
    if primals[layer].dim() > 1:
        none = {k: p[:0] if isinstance(p, Tensor) and p.dim() else p for k, p in at.items()}
        cases.append(("a batch of none", none, torch.clone))
    for case, at, copy in cases:
        try:
            _check(f"check_vjp: 7, {case}", f, at, copy)
        except VjpError:
            raise
        except Exception as error:
            raise VjpError(f"check_vjp: 7, {case}: {type(error).__name__}: {error}") from error


def _check(where: str, f: Any, at: Params, copy: Callable[[Tensor], Tensor]) -> None:
    """1 to 6, at primals that are named; each call of f gets copies of its own."""
    layer, generator = isinstance(f, Layer), torch.Generator().manual_seed(0)

    def draw(like: Tensor) -> Tensor:
        u = torch.rand(like.shape, generator=generator, dtype=torch.float64) * 2 - 1
        return (u + u.sign()).to(like)  # of size 1 to 2, so that every element counts

    def fail(number: int, what: object, **numbers: float) -> VjpError:
        digits = 10 if "tolerance" in numbers else 17
        said = ", ".join(f"{name} {v:.{digits}g}" for name, v in numbers.items())
        return VjpError(f"{where}: {number}, {_BREAKS[number]}: {what}{said and f': {said}'}")

    def compare(number: int, tolerance: float | None = None, **pair: Params) -> None:
        """Fails where the second tree isn't like the first, or differs, if by None: in a bit."""
        (first, one), (second, other) = pair.items()
        shapes = [_map(lambda t: "…" if isinstance(t, Tensor) else t, p) for p in (one, other)]
        if shapes[0] != shapes[1]:
            raise fail(number, f"{second}: expected the structure {shapes[0]}, got {shapes[1]}")
        for (path, a), (_, b) in zip(_leaves(one), _leaves(other)):
            if b.shape != a.shape or b.dtype != a.dtype:
                raise fail(number, not_like(second, path, b, a.dtype, a.shape))
            if tolerance is None:
                bits = BITS[a.element_size()]
                wrong, limit = a.contiguous().view(bits) != b.contiguous().view(bits), {}
            else:
                wrong, limit = ~((a - b).abs() <= tolerance), {"tolerance": tolerance}
            for index in wrong.nonzero().tolist()[:1]:
                limit = {first: a[tuple(index)].item(), second: b[tuple(index)].item()} | limit
                raise fail(number, f"{path}{index or ''}", **limit)

    def pull(pullback: Any, gy: Tensor, at: Params) -> Params:
        grads = dict(zip(("", "x"), pullback(gy), strict=True)) if layer else {"y": pullback()}
        # Zeros leave nothing to compare but the structure, shapes and dtypes.
        zeros = _map(lambda t: torch.zeros_like(t) if isinstance(t, Tensor) else t, grads)
        like = {name: _map(torch.zeros_like, at[name]) for name in grads}
        compare(2, primal=like, gradient=zeros)
        return _map(torch.clone, grads)  # lest a later call changes them

    # 1
    given, passed = _map(copy, at), _map(copy, at)
    value, (y, pullback) = f.apply(*given.values()), f.vjp(*passed.values())
    compare(1, apply={"value": value}, vjp={"value": y})
    if not layer and y.dim() > 0:
        raise fail(1, not_like("vjp", "value", y, y.dtype, ()))
    if all(leaf.numel() for _, leaf in _leaves(at)):
        compare(1, torch.finfo(y.dtype).max, zero={"value": torch.zeros_like(y)}, vjp={"value": y})

    # 2
    gy, value = draw(y) if layer else torch.ones_like(y), {"value": y.clone()}
    cotangents = copy(gy), copy(gy)
    grads = pull(pullback, cotangents[0], at)
    if layer:
        alone, gx = pullback(cotangents[1], wrt_input=False)
        compare(2, pullback={"": grads[""]}, without_x={"": alone})
        if gx is not None:
            raise fail(2, f"expected None for x with wrt_input=False, got {gx}")
        own, gx = pullback(cotangents[1])
        others = [cotangents[1], gx]
        for path, leaf in _leaves(own):
            if any(_overlap(leaf, other) for other in others):
                raise fail(2, f"expected {path} to share no memory")
            others.append(leaf)

    # 3
    for after, gy_after in zip((given, passed), cotangents):
        compare(3, before={**at, "cotangent": gy}, after={**after, "cotangent": gy_after})

    # 4
    other = _map(lambda p: copy(p.flip([*range(p.dim())]).div(2).to(p)), at)
    again, pullback_again = f.vjp(*_map(copy, at).values())
    compare(4, first=value, again={"value": again})
    compare(4, first=grads, again=pull(pullback_again, copy(gy), at))
    pull(f.vjp(*other.values())[1], copy(gy), at)
    compare(4, first=grads, later=pull(pullback, copy(gy), at))
    compare(4, first=value, later={"value": y})
    compare(4, first=value, later={"value": f.apply(*_map(copy, at).values())})

    # 5
    at = _map(lambda p: p.to(torch.float64, copy=True) if p.is_floating_point() else p, at)
    y, pullback = f.vjp(*_map(copy, at).values())
    c, d = gy.to(y), draw(y)
    grads = pull(pullback, copy(c), at)
    pairs = zip(_leaves({name: at[name] for name in grads}), _leaves(grads))
    leaves = [(path, p, g, float(p.abs().max()) if p.any() else 1.0) for (path, p), (_, g) in pairs]
    known = sum(size * g[g.isfinite()].abs().sum() for _, _, g, size in leaves)
    delta = 2**-47 * float((c * y).abs().nansum() + known)
    for k, m in ((0, 0), (1, 1), (-1024, 0)) if layer else ():
        parts, whole = (_leaves(pull(pullback, gy, at)) for gy in (copy(d), copy(k * c + m * d)))
        for (path, _, g, size), (_, other), (_, both) in zip(leaves, parts, whole):
            sums = {"of_parts": {path: k * g + m * other}, "of_whole": {path: both}}
            compare(5, (abs(k) + abs(m)) * 8**4 * delta / size, **sums)

    # 6
    def along(leaf: Tensor, step: Tensor) -> Tensor:
        return f.apply(*_map(lambda p: copy(p + step if p is leaf else p), at).values())

    for path, leaf, grad, size in leaves:
        n, direction = leaf.numel(), size * draw(leaf).flatten()
        todo = [torch.tensor([j]) for j in range(n)] if n <= 256 else [torch.arange(n)]
        while todo:
            some = todo.pop(0)
            step = torch.zeros_like(direction)
            step[some] = direction[some] if len(some) > 1 else size
            analytic, step = float(grad.flatten()[some] @ step[some]), step.view(leaf.shape)
            numeric, kink, last, last_jump, tolerance = *[math.nan] * 4, math.inf
            for h in (8.0**-k for k in range(3, 16)):
                if delta / h >= tolerance:
                    break
                changes = along(leaf, h * step) - y, y - along(leaf, -h * step)
                right, left = (float((c * change).sum()) / h for change in changes)
                central, jump = (right + left) / 2, right - left
                width = abs(8 * jump - last_jump) / 14
                rounding = delta / h + 2**-47 * (abs(right) + abs(left))
                if (limit := abs(central - last) + rounding + width) < tolerance:
                    numeric, kink, tolerance = central, width, limit
                last, last_jump = central, jump
            holds = abs(analytic - numeric) <= tolerance
            if len(some) > 1 and not (holds and kink <= tolerance / 2):
                todo[:0] = some.chunk(2)
            elif not holds:
                index = step.nonzero()[0].tolist() or ""
                a, b, limit = (v / size for v in (analytic, numeric, tolerance))
                raise fail(6, f"{path}{index}", analytic=a, numeric=b, tolerance=limit)


def _leaves(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    """The leaves of nested dicts with their paths, in the order of the paths."""
    if not isinstance(tree, dict):
        return [(path, tree)]
    found = [leaf for k, v in tree.items() for leaf in _leaves(v, f"{path}.{k}".removeprefix("."))]
    return sorted(found, key=lambda leaf: leaf[0])


def _overlap(a: Tensor, b: Tensor) -> bool:
    """Whether memory of one lies between the ends of the other's."""
    ends = [
        (t.data_ptr(), t[(slice(-1, None),) * t.dim()].data_ptr() + t.element_size())
        for t in (a, b)
    ]
    return bool(a.numel() and b.numel()) and ends[0][0] < ends[1][1] and ends[1][0] < ends[0][1]


def _map(f: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with f of each leaf."""
    return {k: _map(f, v) for k, v in tree.items()} if isinstance(tree, dict) else f(tree)


def _gapped(t: Tensor) -> Tensor:
    """A copy with a NaN after each element, in every dimension."""
    gaps = t.new_full([2 * n for n in t.shape], math.nan if t.is_floating_point() else 0)
    return gaps[(slice(None, None, 2),) * t.dim()].copy_(t)
