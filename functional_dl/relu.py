"""The rectifier."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_floating, not_keyed, not_like
from functional_dl.contract import Layer, Params, Pullback, no_params

# For a number of so many bytes, an integer that holds its bits.
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def relu() -> Layer:
    """Y = max(X, 0).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y where Y is positive or NaN, +0 elsewhere

    At X = 0 the gradient is 0, as in PyTorch; so Y says it all, and X need not be kept. This is a
    choice, not a product with a mask: no infinity or NaN gets through a unit that is off.

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """

    def vjp(params: Params, x: Float[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Pullback]:
        if params != {}:
            raise not_keyed("relu", "params", params, ())
        if not x.is_floating_point():
            raise not_floating("relu", "x", x)
        y = x.relu()

        def pullback(
            gy: Float[Tensor, "*N"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*N"] | None]:
            if gy.shape != y.shape or gy.dtype != y.dtype:
                raise not_like("relu", "the cotangent", gy, y.dtype, y.shape)
            if not wrt_input:
                return {}, None
            # The choice as integers, without a branch for each element. They carry no derivative,
            # so only where nothing can be differentiated once more.
            if not torch.compiler.is_compiling() and torch.is_inference_mode_enabled():
                bits = _BITS[y.element_size()]
                return {}, (gy.view(bits) * y.abs().view(bits).sign_()).view(gy.dtype)
            return {}, gy.where(y.bool(), 0)

        return y, pullback

    def apply(params: Params, x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        return vjp(params, x)[0]

    return Layer(no_params, apply, vjp)
