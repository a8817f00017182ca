"""A vector for each token, and one for each position."""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from functional_dl._errors import check_sizes
from functional_dl._guard import Maths, layer
from functional_dl.contract import Cotangents, Generator, Params, Pullback


@layer
def embedding(tokens: int, features: int) -> Maths:
    """Y = E[X], the row of E for each whole number in X.

    Backward, for a cotangent ∇Y, each row of which goes to the row that it came from; a token that
    comes several times adds up:

        ∇E[v] = Σ ∇Y[n] over all n with X[n] = v

    X has no cotangent: its place holds None.

    Bits: PyTorch's own, value and gradient; in half precision, PyTorch rounds each partial sum of
    ∇E, and here a sum is rounded once where tokens are many.

    Args:
        tokens: V, how many there are.
        features: D, the size of the last dimension of Y.

    Returns:
        A layer from tokens (...), of int64 or int32, to (..., D), with params
        {"weight": (V, D)}, drawn from N(0, 1) as PyTorch's Embedding draws them.

    Raises:
        ValueError: A size is no positive integer. The layer raises it for params with other keys or
            shapes, a cotangent of another shape and, on a CPU and not compiled, a token out of
            range.
        TypeError: The layer raises it for tokens that are not whole, and a cotangent of another
            dtype than params have.
    """
    check_sizes("embedding", tokens=tokens, features=features)

    def vjp(params: Params, x: Integer[Tensor, "*N"]) -> tuple[Float[Tensor, "*N D"], Pullback]:
        def pullback(gy: Float[Tensor, "*N D"], *, wrt_input: bool = True) -> Cotangents:
            gy = gy.reshape(-1, features)
            rows = x.reshape(-1, 1).long().expand_as(gy)
            return {"weight": gy.new_zeros(tokens, features).scatter_add(0, rows, gy)}, None

        return torch.embedding(params["weight"], x), pullback

    return Maths(vjp, {"weight": (tokens, features)}, _standard_normal, below=tokens)


@layer
def positions(length: int, features: int) -> Maths:
    """Y = X + P[:T], a row of P for each of the T positions of a sequence.

    Backward, for a cotangent ∇Y, with sums over the sequences:

        ∇P[t] = Σ ∇Y[t] for t < T, 0 for the positions that no sequence has
        ∇X = ∇Y

    Bits: those of PyTorch's Embedding of 0, …, T − 1, added to X, value and gradient.

    Args:
        length: The longest sequence there may be.
        features: D, the size of the last dimension of X.

    Returns:
        A layer from (..., T, D) to the same, with params {"weight": (length, D)}, drawn from
        N(0, 1) as PyTorch's Embedding draws them.

    Raises:
        ValueError: A size is no positive integer. The layer raises it for params with other keys or
            shapes, a sequence that is too long, and a cotangent of another shape.
        TypeError: The layer raises it for tensors that are not floating or differ in dtype.
    """
    check_sizes("positions", length=length, features=features)

    def vjp(params: Params, x: Float[Tensor, "*N T D"]) -> tuple[Float[Tensor, "*N T D"], Pullback]:
        t = x.shape[-2]

        def pullback(gy: Float[Tensor, "*N T D"], *, wrt_input: bool = True) -> Cotangents:
            each = gy.sum_to_size(t, features)
            grad = torch.constant_pad_nd(each, [0, 0, 0, length - t])
            return {"weight": grad}, gy if wrt_input else None

        return x + params["weight"].narrow(0, 0, t).expand_as(x), pullback

    def takes(shape: torch.Size) -> bool:
        return len(shape) > 1 and shape[-1] == features and shape[-2] <= length

    said = f"(..., T, {features}), with T up to {length}"
    return Maths(vjp, {"weight": (length, features)}, _standard_normal, takes=(takes, said))


def _standard_normal(params: Params, generator: Generator) -> None:
    params["weight"].normal_(generator=generator)
