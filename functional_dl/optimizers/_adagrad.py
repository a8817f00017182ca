"""Adagrad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from functional_dl._numerics import Constant
from functional_dl.optimizers._leaves import LeafRule, Rule, check_option, optimizer
from functional_dl.optimizers._operations import Operations, minus_ratio, quotient


@optimizer
def adagrad(
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    decays: Callable[[Tensor], bool] | None = None,
) -> Rule:
    """s ← s + ∇p²; p ← p − lr / (1 + (t − 1) η) · ∇p / (√s + ε), in step t.

    With weight_decay = λ, ∇p + λ p takes the place of ∇p.

    Bits: those of `torch.optim.Adagrad`, its for-loop and foreach. In half precision, those
    of the for-loop, with lr a number and gradients laid out as params.

    Args:
        lr_decay: η, not negative.
        weight_decay: λ, not negative.
        initial_accumulator_value: What s is full of at first, not negative.
        eps: ε, not negative.
        decays: Says of a leaf whether it decays; all do if it is None.

    Returns:
        An optimizer whose state is {"step": t, "sum": s}.

    Raises:
        ValueError: An option is out of its range.
        TypeError: An option is no number, or decays no function.

    Source:
        Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
        optimization", JMLR 12, 2011.
    """
    check_option("adagrad", "lr_decay", lr_decay)
    check_option("adagrad", "initial_accumulator_value", initial_accumulator_value)
    check_option("adagrad", "eps", eps)

    offset = Constant(eps)

    def begin(lr: float | Tensor, step: float | Tensor) -> LeafRule:
        size = quotient(lr, 1 + (step - 1) * lr_decay) if lr_decay else lr

        def leaf(do: Operations, p: Any, g: Any, s: Any) -> tuple[Any, Any]:
            s = do(torch.addcmul, s, g, g, home=s)
            by = do(torch.sqrt, s)
            by = do(torch.add, by, offset[do.dtype], home=by)
            return minus_ratio(do, p, size, g, by, home=g), s

        return leaf

    state = {"sum": float(initial_accumulator_value)}
    return Rule(begin, state, True, weight_decay, decays=decays)
