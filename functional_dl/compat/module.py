"""The base class of everything that has a forward and a backward."""

from typing import Any

from torch import Tensor


class Module:
    """A function that remembers its last input, with parameters and their accumulated gradients.

    A subclass defines `forward` and `backward`, and, if it has parameters, returns them and their
    gradients from `parameters` and `grads`: each time the same tensors, since an optimizer keeps
    them and changes them in place.
    """

    def forward(self, *input: Any) -> Any:
        """Computes and returns the output."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, *grad_wrt_output: Any) -> Any:
        """Adds to the parameters' gradients; returns the gradient with respect to the input."""
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def parameters(self) -> list[Tensor]:
        """The parameters."""
        return []

    def grads(self) -> list[Tensor]:
        """The accumulated gradients, in the order of the parameters."""
        return []

    def zero_grad(self) -> None:
        """Sets every gradient to zero."""
        for grad in self.grads():
            grad.zero_()

    def __call__(self, *input: Any) -> Any:
        """Calls `forward`."""
        return self.forward(*input)
