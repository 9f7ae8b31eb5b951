"""Multi-head attention, written out so that exporters and quantisers find its two matrix products and its softmax.

B batch, T queries, S keys, D width, N heads.
"""

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Scaled dot-product attention with projections before and after; the number of heads N divides the width D."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = (width // num_heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            query: `(B, T, D)`; B may be 1 here and more in keys and values.
            key: `(B, S, D)`.
            value: `(B, S, D)`.
            padding: `(B, S)` bool, True where a key is masked.

        Returns:
            `(B, T, D)`.
        """
        queries = self._split_heads(self.query(query) * self.scale)  # (B, N, T, D/N)
        keys = self._split_heads(self.key(key))  # (B, N, S, D/N)
        values = self._split_heads(self.value(value))
        logits = queries @ keys.transpose(-2, -1)  # (B, N, T, S)
        if padding is not None:
            logits = logits.masked_fill(padding[:, None, None, :], float("-inf"))
        mixed = torch.softmax(logits, dim=-1) @ values  # (B, N, T, D/N)
        result: Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (B, T, D)
        return result

    def within_groups(self, placed: Tensor, content: Tensor, groups: int) -> Tensor:
        """Attend within groups of tokens, which follow each other: `(B, T, D)` queries and keys, and values, to `(B, T, D)`."""
        if groups == 1:
            ungrouped: Tensor = self(placed, placed, content)
            return ungrouped
        shape = (placed.shape[0] * groups, placed.shape[1] // groups, placed.shape[2])
        placed, values = placed.reshape(shape), content.reshape(shape)
        result: Tensor = self(placed, placed, values).reshape(content.shape)
        return result

    def _split_heads(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        return tokens.reshape(batch, count, self.num_heads, width // self.num_heads).transpose(1, 2)
