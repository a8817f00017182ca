"""Optimizers on lists of parameters and gradients, which they change in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

import functional_dl as fdl
from functional_dl._tree import tree_map
from functional_dl.optimizers._leaves import check_grads, check_lr
from functional_dl.state_dict import faults

from ._bound import refuse_inference_tensors


class Optimizer:
    """Any `functional_dl.Optimizer`, for every parameter, in place.

    Parameters made in `torch.inference_mode` can be changed there alone.

    Args:
        params: The parameters, as `Module.parameters` gives them. One that comes several times,
            always with the same gradient, is changed once.
        grads: Their gradients in the same order, as `Module.grads` gives them.
        lr: A finite number, not negative, or a 0-d tensor. It can be set anew, for the next step.
        optimizer: What is done.

    Raises:
        ValueError: There are no parameters, the lists differ in length or their tensors in shape,
            or a parameter comes with two gradients; or lr is negative, infinite, NaN or not 0-d.
        TypeError: A parameter is no tensor of floating or complex numbers, its gradient's dtype
            differs, or lr is no number.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        grads: Iterable[Tensor],
        lr: float | Tensor,
        optimizer: fdl.Optimizer,
    ) -> None:
        name = type(self).__name__
        params, grads = [*params], [*grads]
        if not params:
            raise ValueError(f"{name}: expected at least one parameter, got none")
        check_grads(name, dict(enumerate(params)), dict(enumerate(grads)))
        pairs: dict[int, tuple[Tensor, Tensor]] = {}
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            if pairs.setdefault(id(p), (p, g))[1] is not g:
                raise ValueError(f"{name}: expected one gradient of params[{i}], got two")
        self._pairs = [*pairs.values()]
        self._some_are_inference_tensors = any(
            t.is_inference() for pair in self._pairs for t in pair
        )
        self._optimizer = optimizer
        self._state = optimizer.init({str(i): p for i, (p, _) in enumerate(self._pairs)})
        self.lr = lr

    @property
    def lr(self) -> float | Tensor:
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, lr: float | Tensor) -> None:
        check_lr(type(self).__name__, lr)
        self._lr = lr

    def step(self) -> None:
        """Changes every parameter, by the gradient accumulated so far.

        Raises:
            RuntimeError: One was made under torch.inference_mode, and this is outside of it.
        """
        self._refuse_inference_tensors("step", 0)
        params = {str(i): p for i, (p, _) in enumerate(self._pairs)}
        grads = {str(i): g for i, (_, g) in enumerate(self._pairs)}
        new, self._state = self._optimizer.update(params, grads, self._state, self._lr)
        for k, p in params.items():
            p.copy_(new[k])

    def zero_grad(self) -> None:
        """Sets every gradient to zero.

        Raises:
            RuntimeError: One was made under torch.inference_mode, and this is outside of it.
        """
        self._refuse_inference_tensors("zero_grad", 1)
        for _, g in self._pairs:
            g.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """What is remembered, as "exp_avg.0" of the first parameter and so on, and the rate."""
        lr = torch.as_tensor(self._lr, dtype=torch.float64)
        return {"lr": lr, **fdl.to_state_dict(self._state)}

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Goes on from what `state_dict` gave, with the same bits.

        Raises:
            ValueError: state_dict doesn't fit; the message lists every key that is missing, surplus
                or of another shape.
        """
        own = self.state_dict()
        if wrong := faults(own, state_dict):
            name = f"{type(self).__name__}.load_state_dict"
            raise ValueError(f"{name}: expected what fits, got " + "; ".join(wrong.values()))
        keys = iter([*own][1:])
        self._state = tree_map(
            lambda t: state_dict[next(keys)].detach().to(t, copy=True), self._state
        )
        lr = state_dict["lr"]
        self.lr = lr.clone() if isinstance(self._lr, Tensor) else lr.item()

    def _refuse_inference_tensors(self, method: str, which: int) -> None:
        if self._some_are_inference_tensors:
            name = f"{type(self).__name__}.{method}"
            refuse_inference_tensors(name, [pair[which] for pair in self._pairs])


class SGD(Optimizer):
    """p ← p − lr · ∇p, or `functional_dl.momentum`: as `torch.optim.SGD`.

    See `Optimizer` for params, grads and lr.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        grads: Iterable[Tensor],
        lr: float | Tensor,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params, grads, lr, fdl.momentum(momentum, nesterov, dampening, weight_decay)
        )
        self._is_plain = not (momentum or weight_decay)

    def step(self) -> None:
        """Changes every parameter, by the gradient accumulated so far.

        Raises:
            RuntimeError: One was made under torch.inference_mode, and this is outside of it.
        """
        if not self._is_plain:
            super().step()
            return
        self._refuse_inference_tensors("step", 0)
        lr = self._lr
        if isinstance(lr, Tensor):
            for p, g in self._pairs:
                p.addcmul_(g, lr, value=-1)
        else:
            for p, g in self._pairs:
                p.sub_(g, alpha=lr)


class Adam(Optimizer):
    """`functional_dl.adam`, as `torch.optim.Adam`: see `Optimizer` for params, grads and lr."""

    _decoupled = False

    def __init__(
        self,
        params: Iterable[Tensor],
        grads: Iterable[Tensor],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, grads, lr, fdl.adam(*betas, eps, weight_decay, decoupled=self._decoupled)
        )


class AdamW(Adam):
    """`functional_dl.adam`, decoupled, as `torch.optim.AdamW`: see `Optimizer`."""

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Tensor],
        grads: Iterable[Tensor],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, grads, lr, betas, eps, weight_decay)


class RMSprop(Optimizer):
    """`functional_dl.rmsprop`, as `torch.optim.RMSprop`: see `Optimizer`."""

    def __init__(
        self,
        params: Iterable[Tensor],
        grads: Iterable[Tensor],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        rule = fdl.rmsprop(alpha, eps, weight_decay, momentum, centered)
        super().__init__(params, grads, lr, rule)


class Adagrad(Optimizer):
    """`functional_dl.adagrad`, as `torch.optim.Adagrad`: see `Optimizer`."""

    def __init__(
        self,
        params: Iterable[Tensor],
        grads: Iterable[Tensor],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        rule = fdl.adagrad(lr_decay, weight_decay, initial_accumulator_value, eps)
        super().__init__(params, grads, lr, rule)
