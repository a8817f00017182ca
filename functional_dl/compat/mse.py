"""The mean squared error as a module."""

from __future__ import annotations

from torch import Tensor

import functional_dl as fdl

from ._bound import no_forward, vjp_named
from .module import Module

_VJP: fdl.LossVjp = vjp_named("MSE", fdl.mse())


class MSE(Module):
    """L = ‖Y − T‖² / (N·D): `functional_dl.mse`."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The scalar L.

        Raises:
            ValueError: Prediction and target differ in shape, also where they would broadcast.
            TypeError: They differ in dtype or are not floating.
        """
        value, self._way_back = _VJP(prediction, target)
        return value

    def backward(self) -> Tensor:
        """The gradient with respect to the last forward's prediction.

        Raises:
            RuntimeError: There was no forward, or a backward has used it up.
        """
        pullback, self._way_back = self._way_back, None
        if pullback is None:
            raise no_forward("MSE.backward")
        return pullback()
