"""Names in the published HOICLIP checkpoints and names here, as a table read in both directions."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_LAYER_PARTS = (
    ("self_attn.q_proj.", "self_attention.query."),
    ("self_attn.k_proj.", "self_attention.key."),
    ("self_attn.v_proj.", "self_attention.value."),
    ("self_attn.out_proj.", "self_attention.output."),
    ("multihead_attn.q_proj.", "cross_attention.query."),
    ("multihead_attn.k_proj.", "cross_attention.key."),
    ("multihead_attn.v_proj.", "cross_attention.value."),
    ("multihead_attn.out_proj.", "cross_attention.output."),
    ("linear1.", "feed_forward.linear1."),
    ("linear2.", "feed_forward.linear2."),
    ("norm1.", "norm1."),
    ("norm2.", "norm2."),
    ("norm3.", "norm3."),
)
_STACKS = (("encoder", "encoder"), ("instance_decoder", "instance_decoder"), ("clip_interaction_decoder", "interaction_decoder"))

_TABLE = (
    ("backbone.0.body.", "model.backbone."),
    ("input_proj.", "model.input_projection."),
    *(
        (f"transformer.{theirs}.layers.*.{their_part}", f"model.{ours}.layers.*.{our_part}")
        for theirs, ours in _STACKS
        for their_part, our_part in _LAYER_PARTS
    ),
    ("transformer.instance_decoder.norm.", "model.instance_decoder.norm."),
    ("transformer.clip_interaction_decoder.norm.", "model.interaction_decoder.norm."),
    ("query_embed_h.weight", "model.human_queries"),
    ("query_embed_o.weight", "model.object_queries"),
    ("pos_guided_embedd.weight", "model.pair_queries"),
    ("transformer.queries2spacial_proj.", "model.interaction_queries.0."),
    ("transformer.queries2spacial_proj_norm.", "model.interaction_queries.1."),
    ("transformer.obj_class_fc.", "model.interaction_memory.0."),
    ("transformer.obj_class_ln.", "model.interaction_memory.1."),
    ("hum_bbox_embed.layers.", "model.human_box_head.layers."),
    ("obj_bbox_embed.layers.", "model.object_box_head.layers."),
    ("obj_class_fc.", "model.object_embedding_head."),
    ("inter2verb.layers.", "model.verb_head.layers."),
    ("clip_model.visual.", "model.clip.visual."),
    ("clip_model.", "text.clip."),
    ("visual_projection.weight", "classifier.hoi_weight"),
    ("visual_projection.bias", "classifier.hoi_bias"),
    ("logit_scale", "classifier.hoi_log_scale"),
    ("obj_visual_projection.weight", "classifier.object_weight"),
    ("obj_visual_projection.bias", "classifier.object_bias"),
    ("obj_logit_scale", "classifier.object_log_scale"),
    ("verb_projection.weight", "classifier.verb_weight"),
    ("verb2hoi_proj", "classifier.verb_to_hoi"),
    ("eval_visual_projection.weight", "zero_shot.hoi_weight"),
    ("verb2hoi_proj_eval", "zero_shot.verb_to_hoi"),
)
"""(published, here): a row that ends in "." is a prefix of names, any other is one name; "*" is a number."""

_UNUSED = re.compile(
    r"transformer\.(interaction_decoder\.|inter_guided_embedd\.|clip_interaction_decoder\.layers\.\d+\.norm4\.)"
    r"|hoi_class_fc\."
)
"""In the published checkpoints, but unused."""


def _compile(source: str, target: str) -> tuple[re.Pattern[str], str]:
    """Turn a row into a pattern and the template for its matches."""
    is_prefix = source.endswith(".")
    pattern = re.compile(re.escape(source).replace(r"\*", r"(\d+)") + "(.*)" * is_prefix)
    return pattern, target.replace("*", r"\1") + f"\\{pattern.groups}" * is_prefix


_FROM_PUBLISHED = [_compile(theirs, ours) for theirs, ours in _TABLE]
_TO_PUBLISHED = [_compile(ours, theirs) for theirs, ours in _TABLE]


def is_unused(name: str) -> bool:
    """Return whether a published tensor is unused."""
    return _UNUSED.match(name) is not None


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename published tensors, split attention's packed projections, and drop unused tensors.

    Raises:
        KeyError: A name is not in the table.
    """
    renamed = {}
    for name, tensor in tensors.items():
        if not is_unused(name):
            renamed.update({_translate(part, _FROM_PUBLISHED): value for part, value in _unpacked(name, tensor)})
    return renamed


def to_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Invert `from_published`.

    Raises:
        KeyError: A name is not in the table.
    """
    renamed = {_translate(name, _TO_PUBLISHED): tensor for name, tensor in tensors.items()}
    packed = {}
    for name, tensor in renamed.items():
        stem, part, kind = name.partition(".q_proj.")
        if part:
            packed[f"{stem}.in_proj_{kind}"] = torch.cat([renamed[f"{stem}.{letter}_proj.{kind}"] for letter in "qkv"])
        elif ".k_proj." not in name and ".v_proj." not in name:
            packed[name] = tensor
    return packed


def _translate(name: str, rows: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, template in rows:
        if match := pattern.fullmatch(name):
            return match.expand(template)
    raise KeyError(name)


def _unpacked(name: str, tensor: Tensor) -> Iterable[tuple[str, Tensor]]:
    """Split the detector's packed query, key and value projections; CLIP's stay packed."""
    stem, packed, kind = name.partition(".in_proj_")
    if not packed or not name.startswith("transformer."):
        return [(name, tensor)]
    return [(f"{stem}.{letter}_proj.{kind}", part) for letter, part in zip("qkv", tensor.chunk(3), strict=True)]
