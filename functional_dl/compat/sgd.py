"""Gradient descent on lists of parameters and gradients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from functional_dl.optimizers._leaves import check_grads, check_lr


class SGD:
    """p ← p − lr · ∇p, in place, for every parameter p.

    Parameters made in `torch.inference_mode` can be changed there alone.

    Args:
        params: The parameters, as `Module.parameters` gives them.
        grads: Their gradients in the same order, as `Module.grads` gives them.
        lr: A finite number, not negative, or a 0-d tensor.

    Raises:
        ValueError: The lists differ in length or their tensors in shape; or lr is negative,
            infinite, NaN or not 0-d.
        TypeError: A parameter is no tensor of floating or complex numbers, its gradient's dtype
            differs, or lr is no number.
    """

    def __init__(
        self, params: Sequence[Tensor], grads: Sequence[Tensor], lr: float | Tensor
    ) -> None:
        check_lr("SGD", lr)
        check_grads("SGD", dict(enumerate(params)), dict(enumerate(grads)))
        self._pairs = [(p, grads[i]) for i, p in enumerate(params)]
        self._lr = lr

    def step(self) -> None:
        """Changes every parameter, by the gradient accumulated so far."""
        lr = self._lr
        if isinstance(lr, Tensor):
            for p, g in self._pairs:
                p.addcmul_(g, lr, value=-1)
        else:
            for p, g in self._pairs:
                p.sub_(g, alpha=lr)

    def zero_grad(self) -> None:
        """Sets every gradient to zero."""
        for _, g in self._pairs:
            g.zero_()
