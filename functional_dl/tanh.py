"""The hyperbolic tangent."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import not_floating, not_keyed, not_like
from functional_dl.contract import Layer, Params, Pullback, no_params


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

    def vjp(params: Params, x: Float[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Pullback]:
        if params != {}:
            raise not_keyed("tanh", "params", params, ())
        if not x.is_floating_point():
            raise not_floating("tanh", "x", x)
        y = x.tanh()

        def pullback(
            gy: Float[Tensor, "*N"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*N"] | None]:
            if gy.shape != y.shape or gy.dtype != y.dtype:
                raise not_like("tanh", "the cotangent", gy, y.dtype, y.shape)
            if not wrt_input:
                return {}, None
            # Half precision is widened, so that the product is rounded once, at the end.
            wide = y if y.element_size() > 2 else y.float()
            # addcmul rounds 1 − Y² once, 1 - y * y twice.
            slope = torch.addcmul(wide.new_ones(()), wide, wide, value=-1)
            gx = gy * slope
            return {}, gx if wide is y else gx.to(y.dtype)

        return y, pullback

    def apply(params: Params, x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        return vjp(params, x)[0]

    return Layer(no_params, apply, vjp)
