"""The rectifier."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.compiler import is_compiling, is_exporting

from functional_dl._elementwise import elementwise
from functional_dl._errors import not_keyed
from functional_dl._numerics import BITS
from functional_dl.contract import Layer, Params, Pullback


def relu() -> Layer:
    """Y = max(X, 0).

    Backward, for a cotangent ∇Y:

        ∇X = ∇Y where Y is positive or NaN, +0 elsewhere

    At X = 0 the gradient is 0, as in PyTorch; so Y says it all, and X need not be kept. This is a
    choice, not a product with a mask: no infinity or NaN gets through a unit that is off. (Only in
    what `torch.export` makes of it, it is a product.)

    Returns:
        A layer from (...) to (...), without params.

    Raises:
        ValueError: The layer raises it for params and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """

    def vjp(params: Params, x: Float[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Pullback]:
        if params != {}:
            raise not_keyed("relu", "params", params, ())
        y = x.relu()

        def pullback(
            gy: Float[Tensor, "*N"], *, wrt_input: bool = True
        ) -> tuple[Params, Float[Tensor, "*N"] | None]:
            if not wrt_input:
                return {}, None
            if is_compiling():
                if is_exporting():  # ONNX Runtime's whole step takes 1.25 times with a choice
                    return {}, gy * (y > 0)
                return {}, gy.masked_fill(y <= 0, 0)  # twice as fast as with y.bool() there
            if gy.is_inference():
                # The same on the bits, with no branch for each element. Integers carry no
                # derivative, so it is done only where nothing can be differentiated once more.
                bits, gx = BITS[gy.element_size()], y.abs()
                try:
                    gx.view(bits).sign_().mul_(gy.view(bits))
                    return {}, gx
                except RuntimeError:  # torch.vmap goes over gy alone
                    pass
            return {}, gy.where(y.bool(), 0)

        return y, pullback

    return elementwise("relu", vjp)
