"""Other first params."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from functional_dl._errors import not_a
from functional_dl.contract import Device, Dtype, Generator, Layer, Params


def initialized(f: Layer, draw: Callable[[Params, Generator], object]) -> Layer:
    """f, whose params are drawn anew by `draw` when its `init` has drawn them.

    Args:
        f: A layer, such as a whole network.
        draw: Takes params and the generator, or None for torch's global one, and changes the params
            in place.

    Returns:
        A layer that differs from f in `init` alone.

    Raises:
        TypeError: f is no Layer, or draw no function.

    Example:
        >>> import torch
        >>> from functional_dl import linear
        >>> def small(params, generator):
        ...     params["weight"].normal_(0, 0.02, generator=generator)
        ...     params["bias"].zero_()
        >>> initialized(linear(2, 3), small).init(torch.Generator().manual_seed(0))["bias"]
        tensor([0., 0., 0.])
    """
    if not isinstance(f, Layer):
        raise not_a("initialized", "f", f, "a Layer")
    if not callable(draw):
        raise not_a("initialized", "draw", draw, "a function of params and a generator")
    return f._replace(init=partial(_init, f, draw))


def _init(
    f: Layer,
    draw: Callable[[Params, Generator], object],
    generator: Generator = None,
    *,
    dtype: Dtype = None,
    device: Device = None,
) -> Params:
    params = f.init(generator, dtype=dtype, device=device)
    draw(params, generator)
    return params
