"""Gradient descent on lists of parameters and gradients."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from functional_dl.optimizers._leaves import check_grads, check_lr

from ._bound import refuse_inference_tensors


class SGD:
    """p ← p − lr · ∇p, in place, for every parameter p.

    Parameters made in `torch.inference_mode` can be changed there alone.

    Args:
        params: The parameters, as `Module.parameters` gives them. One that comes several times,
            always with the same gradient, is changed once.
        grads: Their gradients in the same order, as `Module.grads` gives them.
        lr: A finite number, not negative, or a 0-d tensor. It can be set anew, for the next step.

    Raises:
        ValueError: There are no parameters, the lists differ in length or their tensors in shape,
            or a parameter comes with two gradients; or lr is negative, infinite, NaN or not 0-d.
        TypeError: A parameter is no tensor of floating or complex numbers, its gradient's dtype
            differs, or lr is no number.
    """

    def __init__(
        self, params: Iterable[Tensor], grads: Iterable[Tensor], lr: float | Tensor
    ) -> None:
        params, grads = [*params], [*grads]
        if not params:
            raise ValueError("SGD: expected at least one parameter, got none")
        check_grads("SGD", dict(enumerate(params)), dict(enumerate(grads)))
        pairs: dict[int, tuple[Tensor, Tensor]] = {}
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            if pairs.setdefault(id(p), (p, g))[1] is not g:
                raise ValueError(f"SGD: expected one gradient of params[{i}], got two")
        self._pairs = [*pairs.values()]
        self._some_are_inference_tensors = any(
            t.is_inference() for pair in self._pairs for t in pair
        )
        self.lr = lr

    @property
    def lr(self) -> float | Tensor:
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, lr: float | Tensor) -> None:
        check_lr("SGD", lr)
        self._lr = lr

    def step(self) -> None:
        """Changes every parameter, by the gradient accumulated so far.

        Raises:
            RuntimeError: One was made under torch.inference_mode, and this is outside of it.
        """
        if self._some_are_inference_tensors:
            refuse_inference_tensors("SGD.step", [p for p, _ in self._pairs])
        lr = self._lr
        if isinstance(lr, Tensor):
            for p, g in self._pairs:
                p.addcmul_(g, lr, value=-1)
        else:
            for p, g in self._pairs:
                p.sub_(g, alpha=lr)

    def zero_grad(self) -> None:
        """Sets every gradient to zero.

        Raises:
            RuntimeError: One was made under torch.inference_mode, and this is outside of it.
        """
        if self._some_are_inference_tensors:
            refuse_inference_tensors("SGD.zero_grad", [g for _, g in self._pairs])
        for _, g in self._pairs:
            g.zero_()
