"""The two-dimensional sine position encoding of DETR (Carion et al., 2020, appendix A.4).

B batch, h and w rows and columns of the feature map, D width.
"""

import math

import torch
from torch import Tensor

TEMPERATURE = 10000.0


def encode_positions(valid: Tensor, width: int) -> Tensor:
    """Encode the position of each cell within the image without its padding.

    Args:
        valid: `(B, h, w)` float32, 1 in the image and 0 in the padding.
        width: Features D of a position: half for the row, half for the column; a multiple of 4.

    Returns:
        `(B, h * w, D)` float32, rows' features first.
    """
    rows = valid.cumsum(1)  # (B, h, w), from 1
    columns = valid.cumsum(2)
    # Encodings of padded cells matter too: the interaction decoder attends to them.
    rows = rows / (rows[:, -1:, :] + 1e-6)
    columns = columns / (columns[:, :, -1:] + 1e-6)
    return torch.cat([_waves(rows, width // 2), _waves(columns, width // 2)], dim=-1).flatten(1, 2)


def _waves(fractions: Tensor, count: int) -> Tensor:
    """Compute `count` alternating sines and cosines of falling frequency for each of `(B, h, w)` fractions."""
    exponents = torch.arange(count // 2, dtype=torch.float32, device=fractions.device) * (2 / count)
    angles = fractions[..., None] * (2 * math.pi) / TEMPERATURE**exponents  # (B, h, w, count / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
