"""The hyperbolic tangent."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._elementwise import elementwise
from functional_dl._errors import not_keyed
from functional_dl.contract import Layer, Params, Pullback


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
        y = x.tanh()

        def pullback(
            gy: Float[Tensor, "*N"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*N"] | None]:
            return {}, backward(gy, y) if wrt_input else None

        return y, pullback

    def backward(gy: Float[Tensor, "*N"], y: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        if y.element_size() == 2:  # half precision is widened, and the product rounded once
            return backward(gy.float(), y.float()).to(y.dtype)
        # addcmul rounds 1 − Y² once, 1 - y * y twice.
        derivative = (one if y.is_cpu else one.to(y.device)).addcmul(y, y, value=-1)
        try:
            return derivative.mul_(gy)  # 1 % of a step, of large networks too
        except RuntimeError:  # torch.vmap goes over gy alone
            return derivative * gy

    one = torch.ones((), device="cpu")
    return elementwise("tanh", vjp)
