"""A GPT, of the layers that stand beside this one."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from functional_dl._errors import check_sizes, not_a
from functional_dl.contract import Generator, Layer, Params
from functional_dl.layers._activations import gelu, relu_squared
from functional_dl.layers._attention import attention
from functional_dl.layers._combinators import residual, sequential
from functional_dl.layers._embedding import embedding, positions
from functional_dl.layers._initialized import initialized
from functional_dl.layers._linear import linear
from functional_dl.layers._normalization import layer_norm, rms_norm
from functional_dl.layers._tied import tied


class Style(NamedTuple):
    """What the blocks of a GPT are made of.

    Attributes:
        norm: Makes a layer over (..., features) from their number.
        activation: Makes one from (...) to (...).
        bias: Whether linear layers have one.
        attention: Makes a layer from (..., T, 3 features) to (..., T, features) from the number of
            heads.
    """

    norm: Callable[[int], Layer]
    activation: Callable[[], Layer]
    bias: bool
    attention: Callable[[int], Layer] = attention


CLASSIC = Style(layer_norm, partial(gelu, "tanh"), bias=True)
MODERN = Style(rms_norm, relu_squared, bias=False)


def gpt(
    tokens: int,
    length: int,
    features: int = 64,
    heads: int = 4,
    blocks: int = 2,
    style: Style = MODERN,
    is_tied: bool = True,
) -> Layer:
    """Logits of each next token of sequences.

        X = E[tokens] + P
        X ← X + attention(norm(X)), X ← X + mlp(norm(X)), in each block
        Y = norm(X) Uᵀ

    Backward is that of the layers. The cotangent of X goes along the sums as it is, from the logits
    to E, and each block adds its own.

    Args:
        tokens: V, how many there are.
        length: The longest sequence there may be.
        features: D, a multiple of heads.
        heads: Of each attention.
        blocks: How many there are.
        style: `CLASSIC` is GPT-2's, with LayerNorm, GELU by tanh, and biases; `MODERN` has RMSNorm,
            ReLU² and no biases.
        is_tied: Whether U is E, one leaf in both places.

    Returns:
        A layer from tokens (..., T), of int64, to logits (..., T, V), a `sequential` of embedding,
        positions, two residuals for each block, norm and linear. Its first params are GPT-2's:
        weights from N(0, 0.02²), which in front of each sum are 1/√(2 blocks) of that, and biases
        that are zero.

    Raises:
        ValueError: A size is no positive integer, or heads doesn't divide features. The layer
            raises it for tokens that are out of range and sequences that are too long.
        TypeError: style is no Style. The layer raises it for tokens that are not whole.

    Source:
        Radford et al., "Language models are unsupervised multitask learners", 2019.
    """
    sizes = {"tokens": tokens, "length": length, "features": features, "heads": heads}
    check_sizes("gpt", **sizes, blocks=blocks)
    if features % heads:
        raise ValueError(f"gpt: expected heads to divide features, got {heads} and {features}")
    if not isinstance(style, Style):
        raise not_a("gpt", "style", style, "a Style, such as CLASSIC")
    norm, activation, bias, attends = style
    drawn = partial(_drawn, std=0.02)
    before_sum = partial(_drawn, std=0.02 / math.sqrt(2 * blocks))

    block = (
        residual(
            norm(features),
            drawn(linear(features, 3 * features, bias)),
            attends(heads),
            before_sum(linear(features, features, bias)),
        ),
        residual(
            norm(features),
            drawn(linear(features, 4 * features, bias)),
            activation(),
            before_sum(linear(4 * features, features, bias)),
        ),
    )
    model = sequential(
        drawn(embedding(tokens, features)),
        drawn(positions(length, features)),
        *block * blocks,
        norm(features),
        drawn(linear(features, tokens, bias=False)),
    )
    return tied(model, {f"{3 + 2 * blocks}.weight": "0.weight"}) if is_tied else model


def _drawn(f: Layer, std: float) -> Layer:
    return initialized(f, partial(_normal_and_zero, std))


def _normal_and_zero(std: float, params: Params, generator: Generator) -> None:
    for k, p in params.items():
        p.normal_(0, std, generator=generator) if k == "weight" else p.zero_()
