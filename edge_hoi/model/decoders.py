"""The two decoders: one finds humans and objects, one reads their interaction from CLIP (HOICLIP, sections 3.2 and 3.3).

B batch, Q pairs, T cells of the feature map, S CLIP tokens, D detector width, C CLIP width. Layers are post-norm.

Training may decode several groups of queries at once (Group DETR, Chen et al., 2023), which do not attend to each other. Q counts all.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from edge_hoi.model.attention import Attention
from edge_hoi.model.transformer import FeedForward


class _DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward of one width."""

    def __init__(self, width: int, num_heads: int, feed_forward_width: int) -> None:
        super().__init__()
        self.self_attention = Attention(width, num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attention = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, feed_forward_width)
        self.norm3 = nn.LayerNorm(width)


class _Decoder(nn.Module):
    layer_type: ClassVar[type[_DecoderLayer]]

    def __init__(self, num_layers: int, width: int, num_heads: int, feed_forward_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(self.layer_type(width, num_heads, feed_forward_width) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)


class InstanceDecoderLayer(_DecoderLayer):
    """Self-attention, cross-attention to the encoder's memory, feed-forward, of width D."""

    def forward(
        self, content: Tensor, queries: Tensor, memory: Tensor, placed_memory: Tensor, padding: Tensor | None, groups: int
    ) -> Tensor:
        """Refine `(B, 2Q, D)` content; see `InstanceDecoder.forward`."""
        content = self.norm1(content + self.self_attention.within_groups(content + queries, content, groups))
        content = self.norm2(content + self.cross_attention(content + queries, placed_memory, memory, padding))
        result: Tensor = self.norm3(content + self.feed_forward(content))
        return result


class InstanceDecoder(_Decoder):
    """Finds humans and objects, which attend to each other, with width D."""

    layer_type = InstanceDecoderLayer

    def forward(self, queries: Tensor, memory: Tensor, positions: Tensor, padding: Tensor | None, groups: int = 1) -> list[Tensor]:
        """Decode.

        Args:
            queries: `(2Q, D)` human queries, then object queries, of each group.
            memory: `(B, T, D)` of the encoder.
            positions: `(B, T, D)` of its cells; B may be 1.
            padding: `(B, T)` bool, True where a cell is padding; None where there is none.
            groups: Number of groups.

        Returns:
            `(B, 2Q, D)` of each layer, normalised.
        """
        # Content starts at zero for all images: with a batch of 1 the first self-attention is a constant that compilers fold. The first
        # cross-attention expands it to the real batch.
        queries = queries[None]
        content = torch.zeros_like(queries)
        placed_memory = memory + positions
        outputs = []
        for layer in self.layers:
            content = layer(content, queries, memory, placed_memory, padding, groups)
            outputs.append(self.norm(content))
        return outputs


class InteractionDecoderLayer(_DecoderLayer):
    """Self-attention, one cross-attention applied to CLIP's tokens and to the detector's memory alike, feed-forward, of width C."""

    def forward(self, content: Tensor, clip_tokens: Tensor, memory: Tensor, groups: int) -> Tensor:
        """Refine `(B, Q, C)` content; see `InteractionDecoder.forward`."""
        content = self.norm1(content + self.self_attention.within_groups(content, content, groups))
        from_clip = self.norm2(content + self.cross_attention(content, clip_tokens, clip_tokens))
        from_detector = self.norm2(content + self.cross_attention(content, memory, memory))
        content = from_clip + from_detector
        result: Tensor = self.norm3(content + self.feed_forward(content))
        return result


class InteractionDecoder(_Decoder):
    """Reads each pair's interaction from CLIP's tokens and the detector's memory (knowledge integration), with width C."""

    layer_type = InteractionDecoderLayer

    def forward(self, content: Tensor, clip_tokens: Tensor, memory: Tensor, groups: int = 1) -> list[Tensor]:
        """Decode.

        Args:
            content: `(B, Q, C)` interaction queries.
            clip_tokens: `(B, S, C)` of CLIP's image tower.
            memory: `(B, T, C)` of the encoder, projected. Its padding is not masked, as in the published checkpoints' training.
            groups: Number of groups.

        Returns:
            `(B, Q, C)` of each layer, normalised.
        """
        outputs = []
        for layer in self.layers:
            content = layer(content, clip_tokens, memory, groups)
            outputs.append(self.norm(content))
        return outputs
