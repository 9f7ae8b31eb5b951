"""HOICLIP (Ning et al., 2023, arXiv 2303.15786), up to the embeddings that its classifiers compare with text.

B batch, Q human-object pairs, h and w the feature map's grid, D detector width, C and E width and embedding size of CLIP.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_hoi.errors import ConfigError
from edge_hoi.model.backbone import ResidualBackbone
from edge_hoi.model.clip import ClipImageTower, build_clip
from edge_hoi.model.config import HoiclipConfig
from edge_hoi.model.decoders import InstanceDecoder, InteractionDecoder
from edge_hoi.model.position_encoding import encode_positions
from edge_hoi.model.transformer import Encoder


class LayerOutputs(NamedTuple):
    """What one decoder layer says about each pair.

    Attributes:
        human_boxes: `(B, Q, 4)` cxcywh in [0, 1].
        object_boxes: `(B, Q, 4)` cxcywh in [0, 1].
        object_embeddings: `(B, Q, E)`, of length 1.
        interaction_embeddings: `(B, Q, E)`, of length 1.
        verb_embeddings: `(B, Q, E)`, of length 1.
    """

    human_boxes: Tensor
    object_boxes: Tensor
    object_embeddings: Tensor
    interaction_embeddings: Tensor
    verb_embeddings: Tensor


class HoiclipOutputs(NamedTuple):
    """What the network says about a batch of pictures.

    Attributes:
        layers: One entry per decoder layer; the last is the answer, the others serve training.
        image_embedding: `(B, E)` of CLIP, of length 1.
    """

    layers: list[LayerOutputs]
    image_embedding: Tensor


class Encoded(NamedTuple):
    """What the detector's encoder makes of a batch of pictures.

    Attributes:
        memory: `(B, h * w, D)`, a row for each cell of the grid, row by row.
        positions: `(B, h * w, D)` of the cells; B may be 1.
        padding: `(B, h * w)` bool, True where a cell is padding; None where there is none.
        grid: h and w.
    """

    memory: Tensor
    positions: Tensor
    padding: Tensor | None
    grid: tuple[int, int]


class Mlp(nn.Module):
    """Three linear layers, ReLU between.

    Args:
        in_width: Width of the input.
        hidden_width: Width between the layers.
        out_width: Width of the output.
    """

    def __init__(self, in_width: int, hidden_width: int, out_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(in_width, hidden_width), nn.Linear(hidden_width, hidden_width), nn.Linear(hidden_width, out_width)]
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, Q, in_width)` to `(B, Q, out_width)`."""
        first, second, last = self.layers
        result: Tensor = last(functional.relu(second(functional.relu(first(features)))))
        return result


class Hoiclip(nn.Module):
    """The network.

    Args:
        config: Its measures.
        clip: CLIP's image tower, of `config.clip`.
    """

    def __init__(self, config: HoiclipConfig, clip: ClipImageTower) -> None:
        super().__init__()
        if clip.width % config.num_heads:
            raise ConfigError(f"num_heads must divide the CLIP tower's width ({clip.width}), got {config.num_heads}")
        self.config = config
        width, heads, hidden, queries = config.width, config.num_heads, config.feed_forward_width, config.num_queries
        self.backbone = ResidualBackbone(config.backbone_width, config.backbone_depths, config.backbone_stride)
        self.input_projection = nn.Conv2d(self.backbone.out_channels, width, 1)
        self.encoder = Encoder(config.num_encoder_layers, width, heads, hidden)
        self.human_queries = nn.Parameter(torch.randn(queries, width))
        self.object_queries = nn.Parameter(torch.randn(queries, width))
        # Added to the human and the object query of a pair alike, which ties them together (GEN-VLKT's position guide).
        self.pair_queries = nn.Parameter(torch.randn(queries, width))
        self.instance_decoder = InstanceDecoder(config.num_decoder_layers, width, heads, hidden)
        self.clip = clip
        self.interaction_queries = nn.Sequential(nn.Linear(width, clip.width), nn.LayerNorm(clip.width))
        self.interaction_memory = nn.Sequential(nn.Linear(width, clip.width), nn.LayerNorm(clip.width))
        self.interaction_decoder = InteractionDecoder(config.num_decoder_layers, clip.width, heads, hidden)
        self.human_box_head = Mlp(width, width, 4)
        self.object_box_head = Mlp(width, width, 4)
        self.object_embedding_head = nn.Sequential(nn.Linear(width, clip.embedding_size), nn.LayerNorm(clip.embedding_size))
        self.verb_head = Mlp(clip.embedding_size, clip.embedding_size // 2, clip.embedding_size)

    def forward(
        self, image: Tensor, clip_image: Tensor, padding_mask: Tensor | None = None, extra_queries: Tensor | None = None
    ) -> HoiclipOutputs:
        """Find the pairs of a batch of pictures and embed what they do.

        Args:
            image: `(B, 3, H, W)` float32, ImageNet-normalised RGB, zero where it is padding.
            clip_image: `(B, 3, S, S)` float32, CLIP-normalised RGB.
            padding_mask: `(B, H, W)` bool, True where `image` is padding; None where there is none.
            extra_queries: `(G, 2Q, D)` more groups of queries like `queries`, for training. There are (1 + G) Q pairs then, group by group.
        """
        memory, positions, padding, _ = self.encode(image, padding_mask)
        queries = self.queries() if extra_queries is None else torch.cat([self.queries(), extra_queries.flatten(0, 1)])
        groups = 1 if extra_queries is None else 1 + len(extra_queries)
        instances = self.instance_decoder(queries, memory, positions, padding, groups)  # of (B, 2Q, D)

        seen = self.clip(clip_image)
        humans, objects = _roles(instances[-1], groups)
        content = self.interaction_queries((humans + objects) / 2)  # (B, Q, C)
        interactions = self.interaction_decoder(content, seen.tokens, self.interaction_memory(memory), groups)  # of (B, Q, C)
        layers = [self._read(*_roles(instance, groups), interaction) for instance, interaction in zip(instances, interactions, strict=True)]
        return HoiclipOutputs(layers, functional.normalize(seen.embedding, dim=-1))

    def queries(self) -> Tensor:
        """Give the `(2Q, D)` queries of humans, then of objects, each with what ties its pair together."""
        return torch.cat([self.human_queries + self.pair_queries, self.object_queries + self.pair_queries])

    def encode(self, image: Tensor, padding_mask: Tensor | None = None) -> Encoded:
        """Encode a batch of pictures as a detector does, before anything is looked for.

        Args:
            image: See `forward`.
            padding_mask: See `forward`.
        """
        features = self.input_projection(self.backbone(image))  # (B, D, h, w)
        valid, padding = _valid_cells(features, padding_mask)
        positions = encode_positions(valid, self.config.width)  # (B or 1, h * w, D)
        memory = self.encoder(features.flatten(2).transpose(1, 2), positions, padding)  # (B, h * w, D)
        return Encoded(memory, positions, padding, (features.shape[2], features.shape[3]))

    def _read(self, humans: Tensor, objects: Tensor, interactions: Tensor) -> LayerOutputs:
        """Apply the heads to one layer's `(B, Q, D)`, `(B, Q, D)` and `(B, Q, C)` features."""
        embeddings = interactions @ self.clip.projection  # (B, Q, E)
        return LayerOutputs(
            human_boxes=self.human_box_head(humans).sigmoid(),
            object_boxes=self.object_box_head(objects).sigmoid(),
            object_embeddings=functional.normalize(self.object_embedding_head(objects), dim=-1),
            interaction_embeddings=functional.normalize(embeddings, dim=-1),
            verb_embeddings=functional.normalize(self.verb_head(embeddings), dim=-1),
        )


def _roles(instances: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Tell humans from objects: `(B, 2Q, D)`, group by group, to twice `(B, Q, D)`."""
    if groups == 1:
        humans, objects = instances.chunk(2, dim=1)
        return humans, objects
    batch, count, width = instances.shape
    humans, objects = instances.reshape(batch, groups, 2, count // (2 * groups), width).unbind(dim=2)
    return humans.flatten(1, 2), objects.flatten(1, 2)


def _valid_cells(features: Tensor, padding_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Bring the padding mask to the feature map's grid.

    Returns:
        `(B, h, w)` float32, 1 where there is picture, and `(B, h * w)` bool padding; without a mask B is 1, and None.
    """
    if padding_mask is None:
        return features.new_ones(1, features.shape[2], features.shape[3]), None
    cells = functional.interpolate(padding_mask[:, None].to(features.dtype), size=features.shape[2:])[:, 0]  # nearest
    return 1 - cells, cells.flatten(1).bool()


class EngineOutputs(NamedTuple):
    """What an engine gives: `LayerOutputs` of the last layer, and `HoiclipOutputs.image_embedding`."""

    human_boxes: Tensor
    object_boxes: Tensor
    object_embeddings: Tensor
    interaction_embeddings: Tensor
    verb_embeddings: Tensor
    image_embedding: Tensor


class LastLayer(nn.Module):
    """The network as engines run it: unpadded pictures in, the last layer's answer out.

    Args:
        model: The network.
    """

    def __init__(self, model: Hoiclip) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, clip_image: Tensor) -> EngineOutputs:
        """Map `(B, 3, H, W)` and `(B, 3, S, S)` to the six arrays of an engine."""
        outputs: HoiclipOutputs = self.model(image, clip_image)
        return EngineOutputs(*outputs.layers[-1], image_embedding=outputs.image_embedding)


def build_hoiclip(config: HoiclipConfig, clip: ClipImageTower | None = None) -> Hoiclip:
    """Build the network with fresh weights.

    Args:
        config: Its measures.
        clip: CLIP's image tower, of `config.clip`; None builds an untrained one.

    Raises:
        ConfigError: If the measures do not fit the CLIP tower.
    """
    return Hoiclip(config, clip if clip is not None else build_clip(config.clip).image)
