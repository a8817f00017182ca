"""From images to vectors."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from functional_dl._guard import Maths, layer
from functional_dl.contract import Cotangents, Params, Pullback


@layer
def flatten() -> Maths:
    """Y = X, with the dimensions of each sample in one.

    Backward, for a cotangent ∇Y, they are told apart again:

        ∇X = ∇Y

    Bits: PyTorch's own, value and gradient.

    Returns:
        A layer from (N, ...) to (N, D), without params.

    Raises:
        ValueError: The layer raises it for params, for an input of no dimension but N's, and for a
            cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """

    def vjp(params: Params, x: Float[Tensor, "N ..."]) -> tuple[Float[Tensor, "N D"], Pullback]:
        shape = x.shape

        def pullback(gy: Float[Tensor, "N D"], *, wrt_input: bool = True) -> Cotangents:
            return {}, gy.reshape(shape) if wrt_input else None

        return x.flatten(1), pullback

    return Maths(vjp, takes=(lambda shape: len(shape) > 1, "(N, ...)"))
