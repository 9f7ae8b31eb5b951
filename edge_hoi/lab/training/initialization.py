"""Initial weights of training without a HOICLIP checkpoint: random ones, CLIP's, and a DETR detector's."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_hoi.errors import CheckpointError
from edge_hoi.lab.training.network import DETECTOR_PARTS
from edge_hoi.lab.training.text_classifier import classifier_from_text
from edge_hoi.model import Checkpoint, Hoiclip, HoiclipConfig, build_clip, build_hoiclip, load_checkpoint
from edge_hoi.model.attention import Attention
from edge_hoi.model.checkpoint_files import check_numbers, is_safetensors, read_published, read_safetensors
from edge_hoi.model.published_keys import from_published
from edge_hoi.vocabulary import Vocabulary

_DETR_NAMES = (
    (r"backbone\.0\.body\.(.+)", (r"backbone.0.body.\1",)),
    (r"input_proj\.(.+)", (r"input_proj.\1",)),
    (r"transformer\.encoder\.(.+)", (r"transformer.encoder.\1",)),
    (r"transformer\.decoder\.(.+)", (r"transformer.instance_decoder.\1",)),
    (r"bbox_embed\.(.+)", (r"hum_bbox_embed.\1", r"obj_bbox_embed.\1")),
)
"""(DETR's name, the published HOICLIP's names). DETR's queries and classes have no counterpart and are trained from scratch."""

_DETR_PARTS = (*DETECTOR_PARTS, "instance_decoder.", "human_box_head.", "object_box_head.")
_DETECTOR_DIMENSIONS = (
    *("backbone_width", "backbone_depths", "backbone_stride"),
    *("width", "num_heads", "feed_forward_width", "num_encoder_layers"),
)
"""Dimensions of a network that `DETECTOR_PARTS` depend on."""


def untrained_checkpoint(config: HoiclipConfig, vocabulary: Vocabulary, *, clip_weights: str | None = None, seed: int = 0) -> Checkpoint:
    """Build a checkpoint with random weights.

    Args:
        config: The network's dimensions.
        vocabulary: Vocabulary of its classifier.
        clip_weights: open_clip's name of pre-trained weights of the configuration's CLIP (such as `openai`), which it downloads; None for
            random ones, without any download.
        seed: Of the random weights.

    Raises:
        ConfigError: open_clip has no such weights.
        VocabularyError: A prompt has more tokens than CLIP reads.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = build_clip(config.clip, clip_weights)
        model = build_hoiclip(config, clip.image)
        _initialise(model)
    return Checkpoint(
        model=model.eval(),
        text=clip.text,
        classifier=classifier_from_text(clip.text, vocabulary).eval(),
        vocabulary=vocabulary.name,
        vocabulary_sha256=vocabulary.content_hash,
    )


def load_detr_weights(model: Hoiclip, path: Path) -> int:
    """Copy a DETR detector's backbone, encoder, box heads, and as many decoder layers as the model has.

    Args:
        model: Changed in place.
        path: A published DETR checkpoint (`detr-r50-e632da11.pth`), or its tensors as safetensors.

    Returns:
        Number of tensors copied.

    Raises:
        CheckpointError: The file is damaged, could run code, has numbers that are not finite, or is not of a DETR with this network's
            dimensions.
    """
    tensors = read_safetensors(path)[1] if is_safetensors(path) else read_published(path).tensors
    found = {name.removeprefix("model."): tensor for name, tensor in from_published(_as_hoiclip(tensors)).items()}
    expected = {name: tensor.shape for name, tensor in model.state_dict().items() if name.startswith(_DETR_PARTS)}
    for name, shape in expected.items():
        if name not in found or found[name].shape != shape:
            got = tuple(found[name].shape) if name in found else "nothing"
            raise CheckpointError(f"{path}: expected a DETR whose part '{name}' has shape {tuple(shape)}, got {got}")
        check_numbers(name, found[name], str(path))
    model.load_state_dict({name: found[name] for name in expected}, strict=False)
    return len(expected)


def load_detector_weights(model: Hoiclip, path: Path) -> int:
    """Copy backbone, input projection and encoder of a checkpoint of `edge-hoi pretrain detector`.

    Returns:
        Number of tensors copied.

    Raises:
        CheckpointError: The file is damaged or no checkpoint, or its network has other dimensions.
    """
    detector = load_checkpoint(path).model
    for dimension in _DETECTOR_DIMENSIONS:
        found, expected = getattr(detector.config, dimension), getattr(model.config, dimension)
        if found != expected:
            raise CheckpointError(
                f"{path}: expected a detector with {dimension} {expected}, got {found}; pre-train a detector of the variant to train"
            )
    tensors = {name: tensor for name, tensor in detector.state_dict().items() if name.startswith(DETECTOR_PARTS)}
    model.load_state_dict(tensors, strict=False)
    return len(tensors)


def _as_hoiclip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, templates in _DETR_NAMES:
            if (match := re.fullmatch(pattern, name)) and not name.endswith(".num_batches_tracked"):
                renamed.update({match.expand(template): tensor for template in templates})
    return renamed


def _initialise(model: Hoiclip) -> None:
    """Initialise the transformer as DETR does (Glorot and Bengio, 2010); other weights keep torch's defaults."""
    for part in (model.encoder, model.instance_decoder, model.interaction_decoder):
        for parameter in part.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        for module in part.modules():
            if isinstance(module, Attention):
                for projection in (module.query, module.key, module.value):
                    nn.init.xavier_uniform_(projection.weight, gain=0.5**0.5)  # as if the three were one matrix
                for projection in (module.query, module.key, module.value, module.output):
                    nn.init.zeros_(projection.bias)
