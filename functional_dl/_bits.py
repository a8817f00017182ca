"""Numbers as their bits."""

import torch

# For a number of so many bytes, an integer that holds its bits.
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
