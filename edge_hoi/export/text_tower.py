"""Export CLIP's text tower and its tokenizer, to encode vocabularies without torch.

P prompts, L tokens of a prompt, E embedding size.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import open_clip
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from edge_hoi.detection.clip_tokenizer import clip_tokenizer
from edge_hoi.export.onnx import trace, write_checked
from edge_hoi.model import ClipTextTower


class TextFeatures(NamedTuple):
    """Output of the exported tower: `(P, E)`, of length 1."""

    text_features: Tensor


class _NamedFeatures(nn.Module):
    def __init__(self, tower: ClipTextTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, tokens: Tensor) -> TextFeatures:
        return TextFeatures(functional.normalize(self.tower(tokens), dim=-1))


def export_text_tower(tower: ClipTextTower, path: Path, *, half: bool = False) -> float:
    """Write the text tower as ONNX: `tokens` (P, L) int64, zero after the end token, to `text_features` (P, E) of length 1.

    P is dynamic, and so is L up to the tower's context length.

    Args:
        tower: The tower, on the CPU.
        path: The file to write.
        half: Whether to store matrices in fp16, at half the size; the arithmetic stays fp32.

    Returns:
        The largest difference from torch.

    Raises:
        EngineError: The exported tower is invalid or differs from torch; nothing is written then.
    """
    module = _NamedFeatures(tower)
    last_id = tower.clip.vocab_size - 1

    def prompts(count: int, length: int) -> dict[str, NDArray[np.int64]]:
        tokens = np.random.default_rng(count).integers(1, last_id, (count, length))
        tokens[:, -1] = last_id
        return {"tokens": tokens}

    model = trace(module, prompts(2, 5), [{0: "prompts", 1: "length"}])
    if half:
        _store_matrices_in_half(model)
    return write_checked(model, path, module, [prompts(1, tower.context_length), prompts(3, 7)])


def write_tokenizer(path: Path) -> None:
    """Write `tokenizer.json`; see `clip_tokenizer`."""
    source = open_clip.SimpleTokenizer()
    tokenizer = clip_tokenizer(source.encoder, sorted(source.bpe_ranks, key=source.bpe_ranks.__getitem__))
    path.write_text(tokenizer.to_str(), encoding="utf-8")


def _store_matrices_in_half(model: onnx.ModelProto) -> None:
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT and len(weight.dims) > 1:
            stored = f"{weight.name}_half"
            casts.append(helper.make_node("Cast", [stored], [weight.name], name=f"node_{stored}", to=TensorProto.FLOAT))
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
