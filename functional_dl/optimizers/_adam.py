"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from functional_dl._numerics import Constant, rounded
from functional_dl.optimizers._leaves import LeafRule, Rule, check_option, optimizer
from functional_dl.optimizers._operations import (
    Operations,
    less_power,
    minus_ratio,
    quotient,
    square_root,
)


@optimizer
def adam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    decays: Callable[[Tensor], bool] | None = None,
) -> Rule:
    """m ← β₁ m + (1 − β₁) ∇p; v ← β₂ v + (1 − β₂) ∇p²; p ← p − lr · m̂ / (√v̂ + ε).

    In step t, m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). With weight_decay = λ, ∇p + λ p takes the
    place of ∇p; or, decoupled, which is AdamW, (1 − lr λ) p that of p.

    Bits: those of `torch.optim.Adam` and `AdamW`, their for-loop and foreach; their fused form
    differs from both. In half precision, those of the for-loop, with lr a number and gradients laid
    out as params.

    Args:
        beta1: β₁, in [0, 1).
        beta2: β₂, in [0, 1).
        eps: ε, not negative.
        weight_decay: λ, not negative.
        decoupled: Whether the decay is.
        decays: Says of a leaf whether it decays, such as `lambda p: p.dim() >= 2`; all do if it is
            None.

    Returns:
        An optimizer whose state is {"step": t, "exp_avg": m, "exp_avg_sq": v}.

    Raises:
        ValueError: An option is out of its range.
        TypeError: An option is no number, or decays no function.

    Source:
        Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; Loshchilov and
        Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    check_option("adam", "beta1", beta1, 1.0)
    check_option("adam", "beta2", beta2, 1.0)
    check_option("adam", "eps", eps)

    b1, b2, offset = Constant(beta1), Constant(beta2), Constant(eps)

    def begin(lr: float | Tensor, step: float | Tensor) -> LeafRule:
        root = square_root(less_power(b2, step))
        size = quotient(lr, less_power(b1, step))

        def leaf(do: Operations, p: Any, g: Any, m: Any, v: Any) -> tuple[Any, Any, Any]:
            m = do(torch.lerp, m, g, 1 - beta1, home=m)
            v = do(torch.mul, v, b2[do.dtype], home=v)
            v = do(torch.addcmul, v, g, g, value=1 - beta2, home=v)
            by = do(torch.sqrt, v)
            by = do(torch.div, by, rounded(root, do.dtype), home=by)
            by = do(torch.add, by, offset[do.dtype], home=by)
            return minus_ratio(do, p, size, m, by, home=g), m, v

        return leaf

    state = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
    return Rule(begin, state, True, weight_decay, decoupled, decays)
