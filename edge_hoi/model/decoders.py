"""The two decoders: one finds humans and objects, one reads their interaction from CLIP (HOICLIP, sections 3.2 and 3.3).

B batch, Q pairs, T cells of the feature map, S CLIP tokens, D detector width, C CLIP width. Layers are post-norm.

Training may decode several groups of queries at once (Group DETR, Chen et al., 2023): one after the other, none sees another. Q counts all.
"""

import torch
from torch import Tensor, nn

from edge_hoi.model.attention import Attention
from edge_hoi.model.transformer import FeedForward


class InstanceDecoderLayer(nn.Module):
    """Self-attention, cross-attention to the encoder's memory, feed-forward.

    Args:
        width: Width D.
        num_heads: Attention heads.
        feed_forward_width: Hidden width of the feed-forward block.
    """

    def __init__(self, width: int, num_heads: int, feed_forward_width: int) -> None:
        super().__init__()
        self.self_attention = Attention(width, num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attention = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, feed_forward_width)
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self, content: Tensor, queries: Tensor, memory: Tensor, placed_memory: Tensor, padding: Tensor | None, groups: int
    ) -> Tensor:
        """Refine `(B, 2Q, D)` content; see `InstanceDecoder.forward`."""
        content = self.norm1(content + self.self_attention.among(content + queries, content, groups))
        content = self.norm2(content + self.cross_attention(content + queries, placed_memory, memory, padding))
        result: Tensor = self.norm3(content + self.feed_forward(content))
        return result


class InstanceDecoder(nn.Module):
    """Finds humans and objects, which see each other in self-attention.

    Args:
        num_layers: Layers.
        width: Width D.
        num_heads: Attention heads.
        feed_forward_width: Hidden width of the feed-forward blocks.
    """

    def __init__(self, num_layers: int, width: int, num_heads: int, feed_forward_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(InstanceDecoderLayer(width, num_heads, feed_forward_width) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, memory: Tensor, positions: Tensor, padding: Tensor | None, groups: int = 1) -> list[Tensor]:
        """Decode.

        Args:
            queries: `(2Q, D)` human queries, then object queries, of each group.
            memory: `(B, T, D)` of the encoder.
            positions: `(B, T, D)` of its cells; B may be 1.
            padding: `(B, T)` bool, True where a cell is padding; None where there is none.
            groups: How many groups.

        Returns:
            `(B, 2Q, D)` of each layer, normalised.
        """
        # Content starts at zero and equal for all pictures: with a batch of 1 the first self-attention is a constant that
        # compilers fold away. The first cross-attention brings in the real batch.
        queries = queries[None]
        content = torch.zeros_like(queries)
        placed_memory = memory + positions
        outputs = []
        for layer in self.layers:
            content = layer(content, queries, memory, placed_memory, padding, groups)
            outputs.append(self.norm(content))
        return outputs


class InteractionDecoderLayer(nn.Module):
    """Self-attention, one cross-attention applied to CLIP's tokens and to the detector's memory alike, feed-forward.

    Args:
        width: Width C.
        num_heads: Attention heads.
        feed_forward_width: Hidden width of the feed-forward block.
    """

    def __init__(self, width: int, num_heads: int, feed_forward_width: int) -> None:
        super().__init__()
        self.self_attention = Attention(width, num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attention = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, feed_forward_width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, content: Tensor, clip_tokens: Tensor, memory: Tensor, groups: int) -> Tensor:
        """Refine `(B, Q, C)` content; see `InteractionDecoder.forward`."""
        content = self.norm1(content + self.self_attention.among(content, content, groups))
        from_clip = self.norm2(content + self.cross_attention(content, clip_tokens, clip_tokens))
        from_detector = self.norm2(content + self.cross_attention(content, memory, memory))
        content = from_clip + from_detector
        result: Tensor = self.norm3(content + self.feed_forward(content))
        return result


class InteractionDecoder(nn.Module):
    """Reads each pair's interaction from CLIP's tokens and the detector's memory (knowledge integration).

    Args:
        num_layers: Layers.
        width: Width C.
        num_heads: Attention heads.
        feed_forward_width: Hidden width of the feed-forward blocks.
    """

    def __init__(self, num_layers: int, width: int, num_heads: int, feed_forward_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(InteractionDecoderLayer(width, num_heads, feed_forward_width) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, content: Tensor, clip_tokens: Tensor, memory: Tensor, groups: int = 1) -> list[Tensor]:
        """Decode.

        Args:
            content: `(B, Q, C)` interaction queries.
            clip_tokens: `(B, S, C)` of CLIP's image tower.
            memory: `(B, T, C)` of the encoder, projected. Its padding is looked at too, as in the published checkpoints' training.
            groups: How many groups.

        Returns:
            `(B, Q, C)` of each layer, normalised.
        """
        outputs = []
        for layer in self.layers:
            content = layer(content, clip_tokens, memory, groups)
            outputs.append(self.norm(content))
        return outputs
