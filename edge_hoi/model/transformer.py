"""The encoder, and the feed-forward block that it shares with the decoders.

B batch, T tokens, D width. Layers are post-norm: normalisation follows each sum.
"""

from torch import Tensor, nn
from torch.nn import functional

from edge_hoi.model.attention import Attention


class FeedForward(nn.Module):
    """Two linear layers of width D with a ReLU between."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden_width)
        self.linear2 = nn.Linear(hidden_width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(B, T, D)` to `(B, T, D)`."""
        result: Tensor = self.linear2(functional.relu(self.linear1(tokens)))
        return result


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward of width D."""

    def __init__(self, width: int, num_heads: int, feed_forward_width: int) -> None:
        super().__init__()
        self.self_attention = Attention(width, num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, feed_forward_width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, positions: Tensor, padding: Tensor | None) -> Tensor:
        """Mix `(B, T, D)` tokens; see `Encoder.forward`."""
        placed = tokens + positions
        tokens = self.norm1(tokens + self.self_attention(placed, placed, tokens, padding))
        result: Tensor = self.norm2(tokens + self.feed_forward(tokens))
        return result


class Encoder(nn.Module):
    """A stack of encoder layers over the cells of the feature map."""

    def __init__(self, num_layers: int, width: int, num_heads: int, feed_forward_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, num_heads, feed_forward_width) for _ in range(num_layers))

    def forward(self, tokens: Tensor, positions: Tensor, padding: Tensor | None) -> Tensor:
        """Encode.

        Args:
            tokens: `(B, T, D)`.
            positions: `(B, T, D)`, added to queries and keys of each layer; B may be 1.
            padding: `(B, T)` bool, True where a cell is padding; None where there is none.

        Returns:
            `(B, T, D)` memory.
        """
        for layer in self.layers:
            tokens = layer(tokens, positions, padding)
        return tokens
