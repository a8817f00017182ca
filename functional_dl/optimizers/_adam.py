"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from functional_dl._numerics import (
    ONE,
    Writer,
    constant,
    minus_ratio,
    quotient,
    rounded,
    square_root,
)
from functional_dl.optimizers._leaves import LeafRule, Rule, check_option, optimizer


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

    b1, b2, offset = constant(beta1), constant(beta2), constant(eps)

    def begin(lr: float | Tensor, step: Tensor, write: Writer) -> LeafRule:
        root = rounded(square_root(ONE - b2[step.dtype] ** step))
        minus = minus_ratio(quotient(lr, ONE - b1[step.dtype] ** step), write)

        def leaf(p: Tensor, g: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            m = write(m, torch.lerp, m, g, 1 - beta1)
            v = write(v, torch.mul, v, b2[v.dtype])
            v = write(v, torch.addcmul, v, g, g, value=1 - beta2)
            return minus(p, m, v.sqrt().div_(root(v.dtype)).add_(offset[v.dtype]), g), m, v

        return leaf

    state = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
    return Rule(begin, state, True, weight_decay, decoupled, decays)
