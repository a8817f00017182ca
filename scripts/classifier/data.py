"""The digits: 1,797 images of 8×8 pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 64
TRAINING = 1437


class Digits(NamedTuple):
    """Images, N×64, of pixels from 0 to 1, and their digits, N whole numbers."""

    images: Tensor
    labels: Tensor


def load_all() -> Digits:
    """All of them."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        what = "digits: scikit-learn is not installed; pip install 'functional_dl[recipes]'"
        raise SystemExit(what) from error
    pixels, labels = load_digits(return_X_y=True)
    return Digits(torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels))


def split(shape: tuple[int, ...], seed: int) -> tuple[Digits, Digits]:
    """Those to train and those to test with, drawn at random, as images of this shape."""
    images, labels = load_all()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    parts = [order[:TRAINING], order[TRAINING:]]
    training, test = (Digits(images[i].view(-1, *shape), labels[i]) for i in parts)
    return training, test


def batches(training: Digits, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """An epoch of them, in an order that is drawn; the rest that fills no batch is left out."""
    yield from DataLoader(
        TensorDataset(*training), BATCH_SIZE, shuffle=True, drop_last=True, generator=generator
    )
