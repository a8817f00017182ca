"""The convolution of images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import check_sizes
from functional_dl._guard import Maths, Through, layer
from functional_dl._numerics import channels_last, filters_grad, in_order, uniform
from functional_dl.contract import Cotangents, Params, Pullback


@layer
def conv2d(
    in_channels: int,
    out_channels: int,
    size: int,
    padding: int = 0,
    stride: int = 1,
    bias: bool = True,
) -> Maths:
    """Y[o, i, j] = b[o] + Σ W[o, c, p, q] X[c, s i + p, s j + q], for each sample.

    The sum runs over c, p and q, s is the stride, and X has zeros around it, as many as padding
    says. Backward, for a cotangent ∇Y:

        ∇W[o, c, p, q] = Σ ∇Y[o, i, j] X[c, s i + p, s j + q]    over samples, i and j
        ∇b[o] = Σ ∇Y[o, i, j]                                    over samples, i and j
        ∇X[c, s i + p, s j + q] = Σ ∇Y[o, i, j] W[o, c, p, q]    over o and all that is there

    Bits: PyTorch's own, value and ∇X; ∇W and ∇b are not oneDNN's, but at most a quarter further
    from double precision, and ∇W is PyTorch's own where oneDNN is off.

    Args:
        in_channels: C, the number of channels of X.
        out_channels: O, that of Y.
        size: K, of the windows, which are squares.
        padding: How many zeros there are at each side of X.
        stride: From one window to the next.
        bias: Whether there is a b.

    Returns:
        A layer from (N, C, H, W) or (C, H, W) to (N, O, H', W') or (O, H', W'), where H' is
        1 + ⌊(H + 2 padding − K) / stride⌋, with params {"weight": (O, C, K, K), "bias": (O,)},
        drawn from U[−1/√(C K²), 1/√(C K²)], weight first, as PyTorch's Conv2d draws them.

    Raises:
        ValueError: A size is no positive integer, or padding none from 0 up. The layer raises it
            for params with other keys, for a leaf, an input or a cotangent of another shape, and
            for windows that are larger than the input with its padding.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    check_sizes(
        "conv2d", in_channels=in_channels, out_channels=out_channels, size=size, stride=stride
    )
    check_sizes("conv2d", 0, padding=padding)

    def y_of(params: Params, x: Float[Tensor, "*N C H W"]) -> Float[Tensor, "*N O I J"]:
        return torch.conv2d(x, params["weight"], params.get("bias"), stride, padding)

    def gx_of(gy: Tensor, x: Tensor, w: Tensor, last: bool) -> Tensor:
        over = [(n + 2 * padding - size) % stride for n in x.shape[-2:]]  # what no window sees
        ordered = in_order(gy, last), in_order(w, last)
        return in_order(torch.conv_transpose2d(*ordered, None, stride, padding, over), last)

    def vjp(
        params: Params, x: Float[Tensor, "*N C H W"]
    ) -> tuple[Float[Tensor, "*N O I J"], Pullback]:
        w = params["weight"]
        last = channels_last(x, w)

        def pullback(gy: Float[Tensor, "*N O I J"], *, wrt_input: bool = True) -> Cotangents:
            grads = {"weight": in_order(filters_grad(gy, x, w, padding, stride), last)}
            if bias:
                grads["bias"] = gy.sum([d for d in range(gy.dim()) if d != gy.dim() - 3])
            return grads, gx_of(gy, x, w, last) if wrt_input else None

        return y_of(params, x), pullback

    def through(
        params: Params, x: Float[Tensor, "*N C H W"]
    ) -> tuple[Float[Tensor, "*N O I J"], Through]:
        w = params["weight"]
        return y_of(params, x), lambda gy: gx_of(gy, x, w, channels_last(x, w))

    shapes = {"weight": (out_channels, in_channels, size, size)}
    shapes |= {"bias": (out_channels,)} if bias else {}

    least = max(size - 2 * padding, 1)

    def takes(shape: Sequence[int]) -> bool:
        return len(shape) in (3, 4) and shape[-3] == in_channels and min(shape[-2:]) >= least

    said = f"(N, {in_channels}, H, W) or ({in_channels}, H, W), with H and W from {least} up"
    return Maths(
        vjp, shapes, uniform(in_channels * size * size), through=through, takes=(takes, said)
    )
