"""What training starts from where there is no HOICLIP yet: fresh weights, CLIP's own, and a DETR detector's."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_hoi.errors import CheckpointError
from edge_hoi.lab.training.text_classifier import classifier_from_text
from edge_hoi.model import Checkpoint, Hoiclip, HoiclipConfig, build_clip, build_hoiclip, load_checkpoint
from edge_hoi.model.attention import Attention
from edge_hoi.model.checkpoint_files import is_safetensors, read_published, read_safetensors
from edge_hoi.model.published_keys import from_published
from edge_hoi.vocabulary import Vocabulary

_DETR_NAMES = (
    (r"backbone\.0\.body\.(.+)", (r"backbone.0.body.\1",)),
    (r"input_proj\.(.+)", (r"input_proj.\1",)),
    (r"transformer\.encoder\.(.+)", (r"transformer.encoder.\1",)),
    (r"transformer\.decoder\.(.+)", (r"transformer.instance_decoder.\1",)),
    (r"bbox_embed\.(.+)", (r"hum_bbox_embed.\1", r"obj_bbox_embed.\1")),
)
"""(DETR's name, the published HOICLIP's names). What is not here, DETR's queries and classes, HOICLIP learns anew."""

_DETECTOR_PARTS = ("backbone.", "input_projection.", "encoder.")
_DETECTOR_MEASURES = (
    *("backbone_width", "backbone_depths", "backbone_stride"),
    *("width", "num_heads", "feed_forward_width", "num_encoder_layers"),
)
"""Of a network's measures, those of `_DETECTOR_PARTS`."""


def untrained_checkpoint(config: HoiclipConfig, vocabulary: Vocabulary, *, clip_weights: str | None = None, seed: int = 0) -> Checkpoint:
    """Make a checkpoint that has learned nothing yet.

    Args:
        config: The network's measures.
        vocabulary: What it is to look for.
        clip_weights: open_clip's name of the weights of the configuration's CLIP (such as `openai`), which it downloads; None for random
            ones, without any download.
        seed: Names the random weights.

    Raises:
        ConfigError: open_clip has no such weights.
        VocabularyError: A prompt is longer than CLIP can read.
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
    """Take over what a DETR detector has learned: backbone, encoder, as many of its decoder's layers as there are here, and boxes.

    Args:
        model: Changed in place.
        path: A published DETR checkpoint (`detr-r50-e632da11.pth`), or its tensors as safetensors.

    Returns:
        How many tensors were taken over.

    Raises:
        CheckpointError: The file is damaged, could run code, or is not of a DETR with this network's measures.
    """
    tensors = read_safetensors(path)[1] if is_safetensors(path) else read_published(path)
    found = {name.removeprefix("model."): tensor for name, tensor in from_published(_as_hoiclip(tensors)).items()}
    state = model.state_dict()
    wanted = [name for name in state if name.startswith(("backbone.", "input_projection.", "encoder.", "instance_decoder."))]
    wanted += [name for name in state if name.startswith(("human_box_head.", "object_box_head."))]
    for name in wanted:
        if name not in found or found[name].shape != state[name].shape:
            shape = tuple(found[name].shape) if name in found else "nothing"
            raise CheckpointError(f"{path}: expected a DETR whose part '{name}' has shape {tuple(state[name].shape)}, got {shape}")
    model.load_state_dict({name: found[name] for name in wanted}, strict=False)
    return len(wanted)


def load_detector_weights(model: Hoiclip, path: Path) -> int:
    """Take over what a detector has learned (`edge-hoi pretrain detector`): backbone, input projection and encoder.

    Args:
        model: Changed in place.
        path: The checkpoint that it was saved in.

    Returns:
        How many tensors were taken over.

    Raises:
        CheckpointError: The file is damaged or no checkpoint, or its network's measures are not this one's.
    """
    detector = load_checkpoint(path).model
    for measure in _DETECTOR_MEASURES:
        found, wanted = getattr(detector.config, measure), getattr(model.config, measure)
        if found != wanted:
            raise CheckpointError(
                f"{path}: expected a detector with {measure} {wanted}, got {found}; pre-train one with the variant that is to be trained"
            )
    tensors = {name: tensor for name, tensor in detector.state_dict().items() if name.startswith(_DETECTOR_PARTS)}
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
    """Draw the transformer's weights as DETR does (Glorot and Bengio, 2010); what else there is keeps torch's defaults."""
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
