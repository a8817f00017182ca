"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from functional_dl._numerics import Constant
from functional_dl.optimizers._leaves import LeafRule, Rule, check_option, optimizer
from functional_dl.optimizers._operations import Operations, minus_multiple

_ZERO = -0.0  # of zeros, what leaves any ∇p as it is


@optimizer
def momentum(
    mu: float = 0.9,
    nesterov: bool = False,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    decays: Callable[[Tensor], bool] | None = None,
) -> Rule:
    """b ← μ b + (1 − d) ∇p; p ← p − lr · b, or nesterov, p ← p − lr (∇p + μ b).

    In the first step, b = ∇p. With weight_decay = λ, ∇p + λ p takes the place of ∇p.

    Bits: those of `torch.optim.SGD`, its for-loop and foreach. In half precision, those
    of the for-loop, with lr a number and gradients laid out as params.

    Args:
        mu: μ, in [0, 1).
        nesterov: Whether to look ahead by μ b.
        dampening: d, in [0, 1); it is 0 with nesterov.
        weight_decay: λ, not negative.
        decays: Says of a leaf whether it decays; all do if it is None.

    Returns:
        An optimizer whose state is {"momentum_buffer": b}, and, if there is dampening, {"step": t};
        with μ = 0, {}.

    Raises:
        ValueError: An option is out of its range.
        TypeError: An option is no number, or decays no function.
    """
    check_option("momentum", "mu", mu, 1.0)
    check_option("momentum", "dampening", dampening, 1.0)
    if nesterov and (dampening or not mu):
        raise ValueError(
            "momentum: expected mu above 0 and no dampening with nesterov, "
            f"got mu={mu!r}, dampening={dampening!r}"
        )

    if not mu:

        def plain(lr: float | Tensor, _: None) -> LeafRule:
            return lambda do, p, g: (minus_multiple(do, p, lr, g),)

        return Rule(plain, {}, weight_decay=weight_decay, decays=decays)
    factor = Constant(mu)

    def begin(lr: float | Tensor, step: float | Tensor | None) -> LeafRule:
        def leaf(do: Operations, p: Any, g: Any, b: Any) -> tuple[Any, Any]:
            b = do(torch.mul, b, factor[do.dtype], home=b)
            b = do(torch.sub, b, g, alpha=dampening - 1, home=b)
            if isinstance(step, Tensor):
                b = do(Tensor.where, b, step > 1, g)
            elif step == 1:  # ∇p, laid out as b is
                b = do(torch.sub, do(torch.full_like, b, _ZERO), g, alpha=-1)
            along = do(torch.sub, g, b, alpha=-mu) if nesterov else b
            return minus_multiple(do, p, lr, along), b

        return leaf

    return Rule(begin, {"momentum_buffer": _ZERO}, dampening != 0, weight_decay, decays=decays)
