"""Arithmetic in PyTorch's order, and the bits of numbers."""

import torch

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""For a number of so many bytes, an integer that holds its bits."""
