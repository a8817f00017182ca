"""The mean squared error as a module."""

from __future__ import annotations

from torch import Tensor

import functional_dl as fdl

from .module import Module


class MSE(Module):
    """L = ‖Y − T‖² / (N·D): `functional_dl.mse`."""

    def __init__(self) -> None:
        self._vjp = fdl.mse().vjp
        self._pullback: fdl.LossPullback | None = None

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The scalar L."""
        value, self._pullback = self._vjp(prediction, target)
        return value

    def backward(self) -> Tensor:
        """The gradient with respect to the last forward's prediction.

        Raises:
            RuntimeError: There was no forward.
        """
        if self._pullback is None:
            raise RuntimeError("MSE.backward: expected a forward before it")
        return self._pullback()
