"""RMSprop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from functional_dl._numerics import Constant
from functional_dl.optimizers._leaves import LeafRule, Rule, check_option, optimizer
from functional_dl.optimizers._operations import Operations, minus_multiple, minus_ratio


@optimizer
def rmsprop(
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    decays: Callable[[Tensor], bool] | None = None,
) -> Rule:
    """v ← α v + (1 − α) ∇p²; p ← p − lr · ∇p / (√v + ε).

    Centered, the root is of v − a² with a ← α a + (1 − α) ∇p. With momentum = μ,
    b ← μ b + ∇p / (√v + ε) and p ← p − lr · b. With weight_decay = λ, ∇p + λ p takes the place of
    ∇p.

    Bits: those of `torch.optim.RMSprop`, its for-loop and foreach. In half precision, those
    of the for-loop, with lr a number and gradients laid out as params.

    Args:
        alpha: α, in [0, 1).
        eps: ε, not negative.
        weight_decay: λ, not negative.
        momentum: μ, in [0, 1).
        centered: Whether to divide by the deviation from the mean.
        decays: Says of a leaf whether it decays; all do if it is None.

    Returns:
        An optimizer whose state is {"square_avg": v}, and, if they are asked for,
        {"grad_avg": a, "momentum_buffer": b}.

    Raises:
        ValueError: An option is out of its range.
        TypeError: An option is no number, or decays no function.

    Source:
        Tieleman and Hinton, lecture 6.5 of "Neural networks for machine learning", 2012; Graves,
        "Generating sequences with recurrent neural networks", 2013.
    """
    check_option("rmsprop", "alpha", alpha, 1.0)
    check_option("rmsprop", "eps", eps)
    check_option("rmsprop", "momentum", momentum, 1.0)

    keep, offset, mu = Constant(alpha), Constant(eps), Constant(momentum)

    def begin(lr: float | Tensor, _: None) -> LeafRule:
        def leaf(do: Operations, p: Any, g: Any, v: Any, *others: Any) -> tuple[Any, ...]:
            v = do(torch.mul, v, keep[do.dtype], home=v)
            square = v = do(torch.addcmul, v, g, g, value=1 - alpha, home=v)
            new = [v]
            if centered:
                a = do(torch.lerp, others[0], g, 1 - alpha, home=others[0])
                square = do(torch.addcmul, v, a, a, value=-1)
                new.append(a)
            by = do(torch.sqrt, square)
            by = do(torch.add, by, offset[do.dtype], home=by)
            if not momentum:
                return minus_ratio(do, p, lr, g, by, home=g), *new
            b = do(torch.mul, others[-1], mu[do.dtype], home=others[-1])
            b = do(torch.addcdiv, b, g, by, home=b)
            return minus_multiple(do, p, lr, b), *new, b

        return leaf

    state = {"square_avg": 0.0, **({"grad_avg": 0.0} if centered else {})}
    if momentum:
        state["momentum_buffer"] = 0.0
    return Rule(begin, state, weight_decay=weight_decay, decays=decays)
