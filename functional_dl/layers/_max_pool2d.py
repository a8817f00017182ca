"""Pooling of images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import check_sizes
from functional_dl._guard import Maths, layer
from functional_dl._numerics import added_at, channels_last, first_equal, in_order, in_windows
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

    def y_of(largest: Tensor, shape: Sequence[int], last: bool) -> Float[Tensor, "*N I J"]:
        *n, h, w = shape
        return in_order(largest.view(*n, h // size, w // size), last)

    def apply(params: Params, x: Float[Tensor, "*N H W"]) -> Float[Tensor, "*N I J"]:
        largest = reduce(torch.maximum, in_windows(x, size)[0])
        return y_of(largest, x.shape, channels_last(x))

    def vjp(params: Params, x: Float[Tensor, "*N H W"]) -> tuple[Float[Tensor, "*N I J"], Pullback]:
        last, shape = channels_last(x), x.shape
        parts, begins = in_windows(x, size)
        largest = reduce(torch.maximum, parts)
        index = first_equal(parts, begins, largest, x, size)

        def pullback(gy: Float[Tensor, "*N I J"], *, wrt_input: bool = True) -> Cotangents:
            return {}, in_order(added_at(index, gy, shape), last) if wrt_input else None

        return y_of(largest, shape, last), pullback

    said = f"(..., H, W), with H and W from {size} up"
    return Maths(vjp, apply=apply, takes=(lambda s: len(s) > 1 and min(s[-2:]) >= size, said))
