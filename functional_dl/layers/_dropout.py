"""Noise in training."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from functional_dl._guard import Maths, layer
from functional_dl._numerics import inverted_mask
from functional_dl.contract import Cotangents, Generator, Params, Pullback


@layer
def dropout(p: float = 0.5) -> Maths:
    """Y = X ⊙ M with a generator, from which M is drawn: 0 with probability p, else 1 / (1 − p).

    Without one, Y = X. Backward, for a cotangent ∇Y:

        ∇X = ∇Y ⊙ M

    Bits: PyTorch's own, value and gradient.

    Args:
        p: The probability, of each element by itself.

    Returns:
        A layer from (...) to (...), without params. From the same seed, M is that of PyTorch's
        Dropout, whose mode is whether a generator is given here. `torch.default_generator` is
        PyTorch's global one, the only one that `torch.compile` takes.

    Raises:
        ValueError: p is not in [0, 1). The layer raises it for params and for a cotangent of
            another shape.
        TypeError: p is no number. The layer raises it for tensors that are not floating or differ
            in dtype.

    Source:
        Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        JMLR 15, 2014.
    """
    if not isinstance(p, (int, float)):
        raise TypeError(f"dropout: expected p to be a number, got {p!r}")
    if not 0 <= p < 1:
        raise ValueError(f"dropout: expected p in [0, 1), got {p!r}")

    def vjp(
        params: Params, x: Float[Tensor, "*N"], generator: Generator = None
    ) -> tuple[Float[Tensor, "*N"], Pullback]:
        mask = inverted_mask(x, p, generator) if generator and p else None

        def pullback(gy: Float[Tensor, "*N"], *, wrt_input: bool = True) -> Cotangents:
            if mask is None or not wrt_input:
                return {}, gy if wrt_input else None
            return {}, gy * mask

        return x if mask is None else x * mask, pullback

    return Maths(vjp)
