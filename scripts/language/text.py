"""The text: Python's own documentation of its syntax, half a million characters."""

from __future__ import annotations

import math
from collections.abc import Callable
from pydoc_data import topics
from typing import NamedTuple

import torch
from torch import Tensor

Predict = Callable[[Tensor], Tensor]
"""From tokens, N×T, to the logits of what comes next at each place, N×T×V."""


class Text(NamedTuple):
    """Characters as tokens, which are their places in the alphabet.

    Attributes:
        alphabet: Each character that occurs, once, in order.
        training: The tokens to train with.
        held_out: The last tenth.
    """

    alphabet: str
    training: Tensor
    held_out: Tensor


def load() -> Text:
    """All of it, one topic after the other."""
    text = "\n".join(topics.topics.values())
    alphabet = "".join(sorted({*text}))
    tokens = encoded(text, alphabet)
    first = len(tokens) * 9 // 10
    return Text(alphabet, tokens[:first], tokens[first:])


def encoded(text: str, alphabet: str) -> Tensor:
    """The tokens of a text.

    Raises:
        ValueError: It has other characters.
    """
    if unknown := {*text}.difference(alphabet):
        shown = ", ".join(map(repr, sorted(unknown)))
        raise ValueError(f"expected characters that Python's documentation has, got {shown}")
    places = {character: i for i, character in enumerate(alphabet)}
    return torch.tensor([places[character] for character in text])


def decoded(tokens: Tensor, alphabet: str) -> str:
    """The text of tokens."""
    return "".join(alphabet[i] for i in tokens.tolist())


def batch(
    tokens: Tensor, block: int, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pieces that are drawn, size×block; and what comes next, at each of their places."""
    first = torch.randint(len(tokens) - block, (size, 1), generator=generator)
    places = first + torch.arange(block)
    return tokens[places], tokens[places + 1]


@torch.inference_mode()
def bits(predict: Predict, tokens: Tensor, block: int) -> float:
    """−log₂ of the probability that predict gives to what comes next, on average.

    The tokens are cut into blocks, each of which is told without what is before it; what is left
    over is left out.
    """
    n = (len(tokens) - 1) // block
    x, t = (tokens[i : i + n * block].view(n, block) for i in (0, 1))
    total = 0.0
    for inputs, targets in zip(x.split(64), t.split(64), strict=True):
        logits = predict(inputs).double().flatten(0, 1)
        total += torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="sum")
    return float(total) / (n * block * math.log(2))
