"""Losses of a prediction of classes, by logits."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

from functional_dl._guard import loss, loss_of_classes
from functional_dl._numerics import log_losses
from functional_dl.contract import LossPullback, LossVjp
from functional_dl.losses._reduction import reducing


@loss_of_classes
def cross_entropy(
    reduction: str = "mean", *, ignore_index: int | None = None, label_smoothing: float = 0.0
) -> LossVjp:
    """L = Σ (log S − Z_T) / n, with Z = Y − max Y and S = Σ exp(Z), each over the classes.

    That is −log softmax(Y) at the class T of each sample; n is the number of samples, or 1 for a
    sum. Backward:

        ∇Y = exp(Z) / (n S), less 1/n at T

    Samples whose target is the ignored index count in neither. A smoothing ε takes (1 − ε) Z_T plus
    ε times the mean of Z over the C classes for Z_T; then (1 − ε)/n is less at T, and ε/(n C) at
    all classes.

    Bits: those of autograd through the same operations; torch.nn's CrossEntropyLoss, whose exp is
    that of a fused kernel, is a few units in the last place of the largest elements away.

    Args:
        reduction: "mean" or "sum".
        ignore_index: A target that is none, or None if there is none such.
        label_smoothing: ε, from 0 to 1.

    Returns:
        A loss of logits Y, (..., C), and classes T, (...), of int64. The classes are the last
        dimension, and any others count samples; torch.nn's CrossEntropyLoss has the classes
        second, in (N, C, ...), and T in (N, ...). A mean of no samples is NaN.

    Raises:
        ValueError: reduction is neither, or label_smoothing is not from 0 to 1. The loss raises it
            for targets of another shape, or, on a CPU and not compiled, that are no class.
        TypeError: ignore_index is no whole number, or label_smoothing no number. The loss raises it
            for logits that are not floating and targets that are not int64.

    Source:
        For the smoothing, Szegedy et al., "Rethinking the Inception architecture for computer
        vision", CVPR 2016.
    """
    if ignore_index is not None and not isinstance(ignore_index, int):
        raise TypeError(f"cross_entropy: expected ignore_index to be whole, got {ignore_index!r}")
    if not isinstance(label_smoothing, (int, float)):
        what = f"label_smoothing to be a number, got {label_smoothing!r}"
        raise TypeError(f"cross_entropy: expected {what}")
    if not 0 <= label_smoothing <= 1:
        what = f"label_smoothing from 0 to 1, got {label_smoothing!r}"
        raise ValueError(f"cross_entropy: expected {what}")
    reduce, count = reducing("cross_entropy", reduction)

    def vjp(
        y: Float[Tensor, "*N C"], t: Int64[Tensor, "*N"]
    ) -> tuple[Float[Tensor, ""], LossPullback]:
        t, kept = t.unsqueeze(-1), None
        if ignore_index is not None:
            kept = (t != ignore_index).contiguous()  # as autograd has it
            t = t * kept
        z = y - y.amax(-1, keepdim=True)
        told = z.gather(-1, t)
        if label_smoothing:
            told = told.lerp(z.mean(-1, keepdim=True), label_smoothing)
        e = z.exp_()
        s = e.sum(-1, keepdim=True)
        losses = s.log() - told
        if kept is not None:
            losses = losses.where(kept, 0)

        def pullback() -> Float[Tensor, "*N C"]:
            n = count(t, kept)
            # Made like t: where torch.vmap goes over t alone, it is to go over gy too.
            each = t.new_full((), 1 / n, dtype=e.dtype) if kept is None else kept.to(e.dtype) / n
            gy = each / s * e
            if label_smoothing:
                gy.sub_(each * label_smoothing / e.shape[-1])
                each = each * (1 - label_smoothing)
            return gy.scatter_add_(-1, t, (-each).expand_as(t))

        return reduce(losses, kept), pullback

    return vjp


@loss
def bce_with_logits(reduction: str = "mean") -> LossVjp:
    """L = Σ ((1 − T) ⊙ Y + log(1 + exp(−Y))) / n, with the number n of elements, or 1 for a sum.

    That is −log of the probability σ(Y) = 1 / (1 + exp(−Y)) where T is 1, and of 1 − σ(Y) where T
    is 0. Backward:

        ∇Y = (σ(Y) − T) / n

    Bits: PyTorch's own, value and gradient.

    Args:
        reduction: "mean" or "sum".

    Returns:
        A loss of logits Y and probabilities T, both (...). A mean of no elements is NaN.

    Raises:
        ValueError: reduction is neither. The loss raises it for shapes that differ, also where they
            would broadcast.
        TypeError: The loss raises it for tensors that are not floating or differ in dtype.
    """
    reduce, count = reducing("bce_with_logits", reduction)

    def vjp(
        y: Float[Tensor, "*N"], t: Float[Tensor, "*N"]
    ) -> tuple[Float[Tensor, ""], LossPullback]:
        def pullback() -> Float[Tensor, "*N"]:
            return (y.sigmoid() - t) / count(y)

        return reduce(log_losses(y, t)), pullback

    return vjp
