"""The affine map."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from functional_dl._errors import check_sizes
from functional_dl._guard import Maths, Through, layer
from functional_dl._numerics import affine, affine_grads, affine_input_grad, over_rows, uniform
from functional_dl.contract import Cotangents, Params, Pullback


@layer
def linear(in_features: int, out_features: int, bias: bool = True) -> Maths:
    """Y = X Wᵀ + b.

    Backward, for a cotangent ∇Y; the leading dimensions count as one, of N samples:

        ∇W = (∇Y)ᵀ X
        ∇b = 1_N ∇Y
        ∇X = ∇Y W

    Bits: PyTorch's own, value and gradient.

    Args:
        in_features: A, the size of the last dimension of X.
        out_features: B, the size of the last dimension of Y.
        bias: Whether there is a b.

    Returns:
        A layer from (..., A) to (..., B), with params {"weight": (B, A), "bias": (B,)}, drawn
        from U[−1/√A, 1/√A], weight first, as PyTorch's Linear draws them.

    Raises:
        ValueError: A size is no positive integer. The layer raises it for params with other keys,
            and for a leaf, an input or a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    check_sizes("linear", in_features=in_features, out_features=out_features)
    rows = in_features, 1  # the strides of a weight that lies by rows

    def vjp(params: Params, x: Float[Tensor, "*N A"]) -> tuple[Float[Tensor, "*N B"], Pullback]:
        if x.dim() != 2:
            return over_rows(vjp, params, x)
        w, b = params["weight"], params.get("bias")

        def pullback(gy: Float[Tensor, "*N B"], *, wrt_input: bool = True) -> Cotangents:
            grads = affine_grads(gy, x, w.stride() == rows, b)
            return grads, affine_input_grad(gy, x, w) if wrt_input else None

        return affine(x, w, b), pullback

    def through(params: Params, x: Float[Tensor, "*N A"]) -> tuple[Float[Tensor, "*N B"], Through]:
        def back(gy: Tensor) -> Tensor:
            n = x.reshape(-1, in_features)
            return affine_input_grad(gy.reshape(-1, out_features), n, w).reshape(x.shape)

        w = params["weight"]
        return vjp(params, x)[0], back

    shapes = {"weight": (out_features, in_features)} | ({"bias": (out_features,)} if bias else {})
    takes = lambda shape: shape[-1:] == (in_features,), f"(..., {in_features})"
    return Maths(vjp, shapes, uniform(in_features), takes=takes, through=through)
