"""Pooling of images."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import check_sizes
from functional_dl._guard import Maths, layer
from functional_dl._numerics import as_bits, channels_last, in_order, largest, to_largest
from functional_dl.contract import Cotangents, Params, Pullback


@layer
def max_pool2d(size: int) -> Maths:
    """Y[i, j] = max X[k i + p, k j + q] over p and q from 0 to k − 1, the size.

    Backward, for a cotangent ∇Y:

        ∇X[k i + p, k j + q] = ∇Y[i, j] where X is the first in its window to equal Y[i, j], else 0

    Bits: PyTorch's own, value and gradient, unless the largest of a window are a NaN, or zeros of
    both signs.

    Args:
        size: k, of the windows, which are squares side by side. What is left over at the ends is in
            none.

    Returns:
        A layer from (..., H, W) to (..., ⌊H / k⌋, ⌊W / k⌋), without params.

    Raises:
        ValueError: size is no positive integer. The layer raises it for params, for an input that
            is smaller than a window, and for a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    check_sizes("max_pool2d", size=size)

    def vjp(params: Params, x: Float[Tensor, "*N H W"]) -> tuple[Float[Tensor, "*N I J"], Pullback]:
        last = channels_last(x)
        of_rows = largest(x, size, -1)
        y = in_order(largest(of_rows, size, -2), last)

        def pullback(gy: Float[Tensor, "*N I J"], *, wrt_input: bool = True) -> Cotangents:
            if not wrt_input:
                return {}, None
            g = as_bits(gy + 0)  # of two zeros, PyTorch's sum is the positive one
            g = to_largest(to_largest(g, of_rows, y, size, -2), x, of_rows, size, -1)
            return {}, in_order(g if g.dtype == gy.dtype else g.view(gy.dtype), last)

        return y, pullback

    said = f"(..., H, W), with H and W from {size} up"
    return Maths(vjp, takes=(lambda s: len(s) > 1 and min(s[-2:]) >= size, said))
