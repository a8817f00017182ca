"""The hyperbolic tangent."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._elementwise import elementwise
from functional_dl.contract import Layer


def tanh() -> Layer:
    """Y = tanh(X).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ (1 − Y²)

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """

    def backward(gy: Float[Tensor, "*N"], y: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        if y.element_size() == 2:  # half precision is widened, and the product rounded once
            return backward(gy.float(), y.float()).to(y.dtype)
        # addcmul rounds 1 − Y² once, 1 - y * y twice.
        return gy * torch.addcmul(y.new_ones(()), y, y, value=-1)

    return elementwise("tanh", Tensor.tanh, backward)
