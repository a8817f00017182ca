"""Text that a network writes, character by character."""

from __future__ import annotations

import torch

from language.text import Predict, decoded, encoded


@torch.inference_mode()
def continued(
    predict: Predict,
    start: str,
    alphabet: str,
    block: int,
    characters: int,
    temperature: float,
    seed: int,
) -> str:
    """The text that start is, and so many characters more.

    Each is drawn from softmax(logits / temperature), or the most likely one where that is 0; the
    network sees the last block of them.

    Raises:
        ValueError: start is empty, or has characters that are not in the alphabet.
    """
    if not start:
        raise ValueError("expected a text to go on from, got an empty one")
    tokens, generator = encoded(start, alphabet), torch.Generator().manual_seed(seed)
    for _ in range(characters):
        scores = predict(tokens[None, -block:])[0, -1]
        if temperature:  # the first of exponential clocks of these rates
            clocks = torch.empty_like(scores).exponential_(generator=generator)
            scores = (scores / temperature).softmax(-1) / clocks
        tokens = torch.cat([tokens, scores.argmax()[None]])
    return decoded(tokens, alphabet)
