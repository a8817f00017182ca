"""The walk over params and their gradients, of which each optimizer is a rule for a leaf."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from numbers import Real
from typing import Any, NamedTuple, ParamSpec, TypeAlias

import torch
from torch import Tensor
from torch.compiler import is_compiling, is_dynamo_compiling

from functional_dl._errors import not_a, not_floating, not_keyed, not_like
from functional_dl._numerics import computed_once, rounded
from functional_dl._tree import tree_leaves, tree_map
from functional_dl.contract import Call, Optimizer, Params, State
from functional_dl.optimizers._operations import (
    ONE,
    OnEach,
    OnOne,
    Operations,
    known,
)
from functional_dl.state_dict import check_untied

P = ParamSpec("P")

LeafRule: TypeAlias = Callable[..., Any]
"""(do, p, ∇p, …) ↦ the new p, and what else is new of all that is remembered for p.

`do` carries out the operations, on one leaf or on lists of leaves: see `OnOne` and `OnEach`.
"""

TreesUpdate: TypeAlias = Callable[[Params, Params, State], tuple[Params, State]]
"""(params, grads, trees) ↦ new params, and the new trees of a state."""

_LEAST_MAX = torch.finfo(torch.float16).max
"""What is finite in every dtype."""

SMALL = 1 << 14
"""Up to so many elements, calling an operation takes longer than carrying it out."""


class Rule(NamedTuple):
    """What a constructor of optimizers returns: what becomes of a leaf.

    Attributes:
        begin: (lr, step) ↦ what becomes of each leaf in this step. If the state has it, step is
            its number, from 1 on: of the kind of lr, or a 0-d float64 tensor.
        state: The trees of the state, by name: what their leaves are full of at first.
        counts: Whether the state has the number of steps.
        weight_decay: λ: ∇p + λ p takes the place of ∇p; or, decoupled, (1 − lr λ) p that of p.
        decoupled: Whether it is.
        decays: Says of a leaf whether it decays; all do if it is None.
    """

    begin: Callable[[float | Tensor, Any], LeafRule]
    state: dict[str, float]
    counts: bool = False
    weight_decay: float = 0.0
    decoupled: bool = False
    decays: Callable[[Tensor], bool] | None = None


def optimizer(constructor: Callable[P, Rule]) -> Callable[P, Optimizer]:
    """Turns a function that returns a rule into a constructor of optimizers.

    The optimizer refuses gradients and a state that are not like params. It is pickled and printed
    as the constructor's call.

    Args:
        constructor: Returns a `Rule`.

    Returns:
        The constructor of an `Optimizer`.
    """

    @wraps(constructor)
    def make(*args: P.args, **kwargs: P.kwargs) -> Optimizer:
        call = OptimizerCall(constructor(*args, **kwargs), make, args, kwargs)
        return Optimizer(call.init, call.update)

    return make


class OptimizerCall(Call):
    """The call of a constructor of optimizers, with its rule."""

    def __init__(self, rule: Rule, constructor: Any, args: Any, kwargs: Any) -> None:
        super().__init__(constructor, args, kwargs)
        self.rule = rule
        check_option(self.name, "weight_decay", rule.weight_decay)
        if rule.decays is not None and not callable(rule.decays):
            raise not_a(self.name, "decays", rule.decays, "a function of a leaf")

    def init(self, params: Params) -> State:
        name = f"{self.name}.init"
        check_grads(name, params, params, real=bool(self.rule.state))
        check_untied(name, params)
        state: State = {}
        if self.rule.counts:
            state["step"] = torch.zeros((), dtype=torch.float64, device="cpu")
        for k, first in self.rule.state.items():
            state[k] = tree_map(lambda p, first=first: torch.full_like(p.detach(), first), params)
        return state

    def update(
        self,
        params: Params,
        grads: Params,
        state: State,
        lr: float | Tensor,
        *,
        donate: bool = False,
    ) -> tuple[Params, State]:
        step, update = self.begin(state, lr, donate)
        trees = {k: state[k] for k in self.rule.state}
        params, new = update(params, grads, trees)
        return params, step | new

    def begin(self, state: State, lr: float | Tensor, donate: bool) -> tuple[State, TreesUpdate]:
        """The number of a step, and what updates params and the trees of a state in it."""
        name, rule = self.name, self.rule
        check_lr(name, lr)
        keys = ["step", *rule.state] if rule.counts else [*rule.state]
        if not isinstance(state, dict) or state.keys() != {*keys}:
            raise not_keyed(name, "state", state, keys)
        step, number = state.get("step"), None
        if rule.counts:
            if not isinstance(step, Tensor) or step.dtype is not torch.float64 or step.dim():
                raise not_like(name, "state['step']", step, torch.float64, ())
            step = step + ONE[torch.float64]
            number = step if isinstance(lr, Tensor) else known(step)
        if isinstance(lr, Tensor):
            lr = computed_once(lr)
        leaf = rule.begin(lr, number)
        decaying = _decaying(leaf, lr, rule) if rule.weight_decay else leaf

        def update(params: Params, grads: Params, trees: State) -> tuple[Params, State]:
            leaves = leaves_alike(name, params, grads, lr, trees)
            decay = [rule.decays(p) if rule.decays else True for p in leaves[0]]
            made = _each_leaf(leaf, decaying, decay, donate, leaves)
            new, *state = [tree_like(params, iter(column)) for column in made]
            return new, dict(zip(trees, state, strict=True))

        return {"step": step} if rule.counts else {}, update


def _decaying(leaf: LeafRule, lr: float | Tensor, rule: Rule) -> LeafRule:
    """The rule, for leaves that decay."""
    decay = rule.weight_decay
    kept = 1 - (lr.double() if isinstance(lr, Tensor) else lr) * decay

    def decaying(do: Operations, p: Any, g: Any, *state: Any) -> Any:
        if rule.decoupled:
            return leaf(do, do(torch.mul, p, rounded(kept, do.dtype)), g, *state)
        return leaf(do, p, do(torch.sub, g, p, alpha=-decay), *state)

    return decaying


def leaves_alike(
    name: str, params: Params, grads: Params, lr: float | Tensor, state: State
) -> list[list[Tensor]]:
    """The leaves of params, of grads and of each tree of state, all in params' order.

    Raises what doesn't fit, in the name of the optimizer.
    """
    leaves = [*pairs(name, params, grads, lr)]
    if state and any(p.is_complex() for p in leaves[0]):
        check_grads(name, params, grads, real=True)
    for k, tree in state.items():
        try:
            leaves.append(_pairs(params, tree, [], [])[1])
        except Exception:
            check_grads(name, params, tree, f"state[{k!r}]")
            raise
    return leaves


def pairs(
    name: str, params: Params, grads: Params, lr: float | Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """The leaves of params, and those of grads, both in params' order.

    Raises what doesn't fit, in the name of the optimizer.
    """
    plain = type(lr) is float and 0 <= lr <= _LEAST_MAX  # as most are, which is quickly told
    if not plain:
        check_lr(name, lr)
    try:
        ps, gs = _pairs(params, grads, [], [])
        if not is_dynamo_compiling() and len({*map(id, ps)}) < len(ps):
            check_untied(name, params)
        if not plain:
            check_fits(name, lr, params)
        return ps, gs
    except Exception:
        check_grads(name, params, grads)
        raise


def _pairs(
    params: Params, tree: Params, ps: list[Tensor], leaves: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Adds the leaves of params to ps, and to leaves those of a tree, which must be like them."""
    if len(params) != len(tree):
        raise ValueError
    for k, p in params.items():
        leaf = tree[k]
        if isinstance(p, dict):
            if p or leaf != {}:
                _pairs(p, leaf, ps, leaves)
        elif (
            p.shape != leaf.shape
            or (dtype := p.dtype) is not leaf.dtype
            or not (dtype.is_floating_point or dtype.is_complex)
        ):
            raise ValueError
        else:
            ps.append(p)
            leaves.append(leaf)
    return ps, leaves


def _each_leaf(
    leaf: LeafRule, decaying: LeafRule, decay: list[bool], donate: bool, leaves: list[list[Tensor]]
) -> Sequence[Sequence[Tensor]]:
    """What becomes of leaves, each by the rule for those that decay or for those that don't."""
    alike: dict[Any, list[int]] = {}
    for i, p in enumerate(leaves[0]):
        small = p.numel() <= SMALL and p.dtype.itemsize >= 4 and p.dim()
        alike.setdefault((decay[i], p.dtype if small else i), []).append(i)
    made = [[*of] for of in (leaves[0], *leaves[2:])]  # places for what is new
    for (decays, _), places in alike.items():
        rule = decaying if decays else leaf
        those = [[of[i] for i in places] for of in leaves] if len(alike) > 1 else leaves
        new = _at_once(rule, *those) or one_by_one(rule, donate, *those)
        if len(alike) == 1:
            return new
        for column, part in zip(made, new, strict=True):
            for i, t in zip(places, part, strict=True):
                column[i] = t
    return made


def _at_once(rule: LeafRule, *leaves: list[Tensor]) -> Sequence[Sequence[Tensor]]:
    """What becomes of leaves of one dtype, by operations on all of them; [] if that can't be."""
    ps = leaves[0]
    if len(ps) > 1 and not is_compiling():
        try:
            return [*rule(OnEach(ps[0].dtype), *leaves)]
        except RuntimeError:  # torch.vmap
            pass
    return []


def one_by_one(rule: LeafRule, donate: bool, *leaves: list[Tensor]) -> Sequence[Sequence[Tensor]]:
    """What becomes of leaves, of which each may be written on if they are donated."""
    made = [
        (rule if leaf[0].dim() else _of_row(rule))(OnOne(leaf[0].dtype, donate), *leaf)
        for leaf in zip(*leaves, strict=True)
    ]
    return [*zip(*made, strict=True)] or [[] for _ in leaves[1:]]


def _of_row(rule: LeafRule) -> LeafRule:
    """The rule for 0-d leaves, as rows of one: among 0-d operands, dtypes of numbers count."""
    return lambda do, *leaves: [new[0] for new in rule(do, *(leaf[None] for leaf in leaves))]


def tree_like(params: Params, leaves: Iterator[Any]) -> Params:
    """The leaves, as many as there are in params, in the places of these."""
    made: Params = {}
    for k, p in params.items():
        if isinstance(p, dict):
            made[k] = tree_like(p, leaves) if p else {}
        else:
            made[k] = next(leaves)
    return made


def check_option(name: str, what: str, value: Any, below: float = math.inf, first: int = 0) -> None:
    """Raises that an option is no number from the first to below."""
    if not isinstance(value, Real):
        raise not_a(name, what, value, "a number")
    if not first <= float(value) < below:
        raise ValueError(f"{name}: expected {what} in [{first}, {below:g}), got {value!r}")


def check_fits(name: str, lr: float | Tensor, params: Params) -> None:
    """Raises that a learning rate is infinite in the dtype of a leaf."""
    if isinstance(lr, Tensor):
        return
    for dtype in {p.dtype for p in tree_leaves(params)}:
        if lr > torch.finfo(dtype).max:
            raise ValueError(f"{name}: expected lr to be a {dtype}, got {lr!r}") from None


def check_lr(name: str, lr: float | Tensor) -> None:
    """Raises what is wrong with a learning rate."""
    if isinstance(lr, Tensor):
        if not lr.is_floating_point():
            raise not_floating(name, "lr", lr)
        if lr.dim() != 0:
            raise not_like(name, "lr", lr, lr.dtype, ())
    elif not isinstance(lr, Real):
        raise TypeError(f"{name}: expected lr to be a number or a 0-d tensor, got {lr!r}")
    elif not 0 <= lr < math.inf or (isinstance(lr, int) and lr > sys.float_info.max):
        raise ValueError(f"{name}: expected lr to be finite and not negative, got {lr!r}")


def check_grads(
    name: str, params: Any, grads: Any, what: str = "grads", path: str = "", real: bool = False
) -> None:
    """Raises what is wrong with gradients of params, or with what else is to be like them.

    Raises:
        ValueError: The keys of grads or the shape of a gradient differ from those of params.
        TypeError: A leaf is no tensor of floating or complex numbers, or its gradient's dtype
            differs.
    """
    if not isinstance(params, dict):
        raise not_a(name, f"params{path}", params, "a dict")
    if not isinstance(grads, dict) or grads.keys() != params.keys():
        raise not_keyed(name, f"{what}{path}", grads, params)
    for k, p in params.items():
        g = grads[k]
        if isinstance(p, dict):
            check_grads(name, p, g, what, f"{path}[{k!r}]", real)
        elif not isinstance(p, Tensor) or not (
            p.is_floating_point() or (p.is_complex() and not real)
        ):
            raise not_floating(name, f"params{path}[{k!r}]", p)
        elif not isinstance(g, Tensor) or g.shape != p.shape or g.dtype != p.dtype:
            raise not_like(name, f"{what}{path}[{k!r}]", g, p.dtype, p.shape)
