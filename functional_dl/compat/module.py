"""The base class of everything that has a forward and a backward."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from functional_dl.state_dict import faults

from ._bound import Bound, Found, WayBack, add_up, no_forward, refuse_inference_tensors


class Module:
    """A function that keeps what its backward needs, with parameters and accumulated gradients.

    A subclass defines `forward` and `backward`, and, if it has parameters, returns them and their
    gradients from `parameters` and `grads`: each time the same tensors, since an optimizer keeps
    them and changes them in place.

    A `backward` belongs to the last `forward` and uses it up. So a module that is called twice
    before it goes back, as a siamese network calls it, can only go back through the second call.
    For both, put it into two places of a `Sequential`, or into two `Sequential`s: each keeps for
    each of its places what the way back needs. Only a module with a `forward` or `backward` of your
    own keeps that itself, and stands in one place.

    A copy, pickled or deep, has the parameters and gradients, and nothing of the last forward.

    Attributes:
        training: Whether a module that draws in training, such as Dropout, does so, from torch's
            global generator.
    """

    training: bool = True

    _way_back: Any = None  # of the last forward

    @cached_property
    def _bound(self) -> Bound | None:
        """What a Sequential takes, if the way there and back is the library's."""
        return None

    @cached_property
    def _is_ours(self) -> bool:
        """Whether the library has written all that it does: somebody else's may want autograd."""
        return False

    @property
    def _has_own_way(self) -> bool:
        """Whether a subclass has a forward or backward of its own."""
        return type(self)._vjp is Module._vjp

    def _called(self) -> str:
        """How errors name it."""
        return type(self).__name__

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        source = next(c for c in cls.__mro__ if "_vjp" in vars(c))
        for name in ("forward", "backward", "__call__"):
            if getattr(cls, name) is not getattr(source, name):
                cls._vjp = Module._vjp  # which goes by what is overridden

    def forward(self, *input: Any) -> Any:
        """Computes and returns the output."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, *grad_wrt_output: Any) -> Any:
        """Adds to the parameters' gradients; returns the gradient with respect to the input."""
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def _vjp(self, x: Any, path: str = "") -> tuple[Any, WayBack]:
        """The output and its way back, for a Sequential with this module at path."""

        def way_back(gy: Any, found: Found) -> Any:
            return self.backward(gy)

        return self(x), way_back

    def _go_back(self, gy: Any) -> Any:
        """By the way back of the last forward; gradients change at its end, all or none."""
        if self._way_back is None:
            raise no_forward(f"{self._called()}.backward")
        found: Found = []
        gx = self._way_back(gy, found)
        if not torch.is_inference_mode_enabled():
            sinks = [sink for bound, _ in found for _, sink in bound.sinks]
            refuse_inference_tensors(f"{self._called()}.backward", sinks)
        add_up(found)
        return gx

    def parameters(self) -> list[Tensor]:
        """The parameters."""
        return []

    def grads(self) -> list[Tensor]:
        """The accumulated gradients, in the order of the parameters."""
        return []

    def zero_grad(self) -> None:
        """Sets every gradient to zero.

        Raises:
            RuntimeError: They were made under torch.inference_mode, and this is outside of it.
        """
        grads = self.grads()
        refuse_inference_tensors(f"{self._called()}.zero_grad", grads)
        for grad in grads:
            grad.zero_()

    def train(self, mode: bool = True) -> Module:
        """Sets `training`, in all modules within too."""
        self.training = mode
        for module in self._children().values():
            module.train(mode)
        return self

    def eval(self) -> Module:
        """Sets `training` to False, in all modules within too."""
        return self.train(False)

    def state_dict(self) -> dict[str, Tensor]:
        """The parameters under the keys that PyTorch's modules give them, in the same memory.

        These are the names of the attributes that hold them. An attribute that is a Module stands
        for its own, behind its name and a dot.

        Raises:
            ValueError: No attribute holds a parameter. A module with such has to override this.
        """
        own = self.parameters()
        named = {k: v.detach() for k, v in vars(self).items() if any(v is p for p in own)}
        for k, module in self._children().items():
            named |= {f"{k}.{path}": p for path, p in module.state_dict().items()}
        self._refuse_incomplete(named)
        return named

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Copies into what `state_dict` gives, from tensors of any floating dtype and device.

        Raises:
            ValueError: state_dict doesn't fit; the message lists every key that is missing,
                surplus, of another shape, or differs from another key for the same parameter.
            RuntimeError: The module was made under torch.inference_mode, and this is outside of it.
        """
        name = f"{self._called()}.load_state_dict"
        own = self.state_dict()
        self._refuse_incomplete(own)
        wrong = faults(own, state_dict)
        new = {k: state_dict[k].detach().to(p, copy=True) for k, p in own.items() if k not in wrong}
        first: dict[Any, str] = {}
        for k, p in new.items():
            other = first.setdefault((own[k].data_ptr(), p.shape), k)
            if not p.allclose(new[other], 0, 0, equal_nan=True):
                wrong[k] = f"{k!r} unlike {other!r}, which is the same parameter"
        if wrong:
            raise ValueError(f"{name}: expected what fits, got " + "; ".join(wrong.values()))
        refuse_inference_tensors(name, own.values())
        for k, p in new.items():
            own[k].copy_(p)

    def _children(self) -> dict[str, Module]:
        return {k: v for k, v in vars(self).items() if isinstance(v, Module)}

    def _refuse_incomplete(self, named: dict[str, Tensor]) -> None:
        held = {p.data_ptr() for p in named.values()}
        if not held.issuperset(p.data_ptr() for p in self.parameters()):
            raise ValueError(
                f"{self._called()}.state_dict: expected each parameter to be an attribute, or one "
                f"of a Module that is, got more of them than {[*named]}"
            )

    def __call__(self, *input: Any) -> Any:
        """Calls `forward`."""
        return self.forward(*input)

    def __getstate__(self) -> dict[str, Any]:
        return {
            k: v for k, v in vars(self).items() if k != "_way_back" and not isinstance(v, Bound)
        }

    def __repr__(self) -> str:
        lines = "".join(f"\n({k}): {module!r}" for k, module in self._children().items())
        within = lines.replace("\n", "\n  ")
        return f"{type(self).__name__}({within}\n)" if lines else f"{type(self).__name__}()"
