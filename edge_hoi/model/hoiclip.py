"""HOICLIP (Ning et al., 2023, arXiv 2303.15786), up to the embeddings that its classifiers score.

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
    """Predictions of one decoder layer for each pair.

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
    """Predictions for a batch of images.

    Attributes:
        layers: One entry per decoder layer; the last is the result, the others are used in training.
        image_embedding: `(B, E)` of CLIP, of length 1.
    """

    layers: list[LayerOutputs]
    image_embedding: Tensor


class Encoded(NamedTuple):
    """The encoder's output for a batch of images.

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
    """Three linear layers, ReLU between."""

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
    """The network, with CLIP's image tower of `config.clip`."""

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
        # Added to the human and to the object query of a pair (GEN-VLKT's position guided embedding).
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
        """Detect the pairs of a batch of images and embed their interactions.

        Args:
            image: `(B, 3, H, W)` float32, ImageNet-normalised RGB, zero where it is padding.
            clip_image: `(B, 3, S, S)` float32, CLIP-normalised RGB.
            padding_mask: `(B, H, W)` bool, True where `image` is padding; None where there is none.
            extra_queries: `(G, 2Q, D)` further groups of queries like `queries`, for training: (1 + G) Q pairs, group by group.
        """
        memory, positions, padding, _ = self.encode(image, padding_mask)
        queries = self.queries() if extra_queries is None else torch.cat([self.queries(), extra_queries.flatten(0, 1)])
        groups = 1 if extra_queries is None else 1 + len(extra_queries)
        instances = self.instance_decoder(queries, memory, positions, padding, groups)  # of (B, 2Q, D)

        features = self.clip(clip_image)
        humans, objects = _roles(instances[-1], groups)
        content = self.interaction_queries((humans + objects) / 2)  # (B, Q, C)
        interactions = self.interaction_decoder(content, features.tokens, self.interaction_memory(memory), groups)  # of (B, Q, C)
        layers = [self._read(*_roles(instance, groups), interaction) for instance, interaction in zip(instances, interactions, strict=True)]
        return HoiclipOutputs(layers, functional.normalize(features.embedding, dim=-1))

    def queries(self) -> Tensor:
        """Return the `(2Q, D)` queries of humans, then of objects, each with its pair's embedding."""
        return torch.cat([self.human_queries + self.pair_queries, self.object_queries + self.pair_queries])

    def encode(self, image: Tensor, padding_mask: Tensor | None = None) -> Encoded:
        """Encode a batch of images; see `forward` for the arguments."""
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
    """Split humans from objects: `(B, 2Q, D)`, group by group, to twice `(B, Q, D)`."""
    if groups == 1:
        humans, objects = instances.chunk(2, dim=1)
        return humans, objects
    batch, count, width = instances.shape
    humans, objects = instances.reshape(batch, groups, 2, count // (2 * groups), width).unbind(dim=2)
    return humans.flatten(1, 2), objects.flatten(1, 2)


def _valid_cells(features: Tensor, padding_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Resize the padding mask to the feature map's grid: `(B, h, w)` float32, 1 in the image, and `(B, h * w)` bool padding.

    Without a mask B is 1, and the padding is None.
    """
    if padding_mask is None:
        return features.new_ones(1, features.shape[2], features.shape[3]), None
    cells = functional.interpolate(padding_mask[:, None].to(features.dtype), size=features.shape[2:])[:, 0]  # nearest
    return 1 - cells, cells.flatten(1).bool()


class EngineOutputs(NamedTuple):
    """Outputs of an engine: `LayerOutputs` of the last layer, and `HoiclipOutputs.image_embedding`."""

    human_boxes: Tensor
    object_boxes: Tensor
    object_embeddings: Tensor
    interaction_embeddings: Tensor
    verb_embeddings: Tensor
    image_embedding: Tensor


class LastLayer(nn.Module):
    """The network as engines run it: images without padding in, the last layer's predictions out."""

    def __init__(self, model: Hoiclip) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, clip_image: Tensor) -> EngineOutputs:
        """Map `(B, 3, H, W)` and `(B, 3, S, S)` to the six arrays of an engine."""
        outputs: HoiclipOutputs = self.model(image, clip_image)
        return EngineOutputs(*outputs.layers[-1], image_embedding=outputs.image_embedding)


def build_hoiclip(config: HoiclipConfig, clip: ClipImageTower | None = None) -> Hoiclip:
    """Build the network with random weights; without `clip`, CLIP's image tower is random as well.

    Raises:
        ConfigError: The configuration does not fit the CLIP tower.
    """
    return Hoiclip(config, clip if clip is not None else build_clip(config.clip).image)
