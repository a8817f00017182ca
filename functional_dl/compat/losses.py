"""The core's losses as modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor

import functional_dl as fdl
from functional_dl.contract import name_of

from ._bound import made, no_forward, vjp_named
from .module import Module


class LossModule(Module):
    """Any loss, of `functional_dl` or of your own.

    Raises:
        TypeError: It is no Loss.

    Example:
        >>> LossModule(fdl.huber(2.0))
        LossModule(huber(2.0))
    """

    def __init__(self, loss: fdl.Loss) -> None:
        if not isinstance(loss, fdl.Loss):
            raise TypeError(f"LossModule: expected a Loss, got {loss!r}")
        self._loss = loss

    def _called(self) -> str:
        return name_of(self._loss) if type(self) is LossModule else super()._called()

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The scalar L.

        Raises:
            ValueError: The target is of another shape than the loss takes, or holds what is no
                class.
            TypeError: It is of another dtype, or the prediction is not floating.
        """
        try:
            value, self._way_back = self._loss.vjp(prediction, target)
        except (TypeError, ValueError):
            value, self._way_back = vjp_named(self._called(), self._loss)(prediction, target)
        return value

    def backward(self) -> Tensor:
        """The gradient with respect to the last forward's prediction.

        Raises:
            RuntimeError: There was no forward, or a backward has used it up.
        """
        pullback, self._way_back = self._way_back, None
        if pullback is None:
            raise no_forward(f"{self._called()}.backward")
        return pullback()

    def __repr__(self) -> str:
        return f"LossModule({self._loss})" if type(self) is LossModule else super().__repr__()


class MSE(LossModule):
    """L = ‖Y − T‖² / (N·D): `functional_dl.mse`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(made(self, fdl.mse, reduction))


class L1Loss(LossModule):
    """L = Σ |Y − T| / (N·D): `functional_dl.l1`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(made(self, fdl.l1, reduction))


class HuberLoss(LossModule):
    """Squares of small errors, and large ones themselves: `functional_dl.huber`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(made(self, fdl.huber, delta, reduction))


class BCEWithLogitsLoss(LossModule):
    """−log of the probability of T, of two: `functional_dl.bce_with_logits`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(made(self, fdl.bce_with_logits, reduction))


class CrossEntropyLoss(LossModule):
    """−log of the probability of the class T: `functional_dl.cross_entropy`.

    As in `torch.nn`, the classes are the second dimension of a prediction that has several.
    """

    def __init__(
        self, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        options: dict[str, Any] = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
        super().__init__(made(self, fdl.cross_entropy, reduction, **options))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The scalar L of logits (N, C, ...) or (C,) and classes (N, ...) or ()."""
        if isinstance(prediction, Tensor) and prediction.dim() > 2:
            prediction = prediction.movedim(1, -1)
        return super().forward(prediction, target)

    def backward(self) -> Tensor:
        """The gradient with respect to the last forward's prediction."""
        gy = super().backward()
        return gy.movedim(-1, 1) if gy.dim() > 2 else gy
