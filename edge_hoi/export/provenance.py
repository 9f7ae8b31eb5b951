"""What an engine was built from, to keep an existing engine if nothing changed and to rebuild a stale one."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version

from edge_hoi import __version__
from edge_hoi.export.quantise import KEEP_FLOAT
from edge_hoi.export.reduction import Reduction
from edge_hoi.model import Checkpoint
from edge_hoi.vocabulary import Vocabulary

_TOOLS = ("torch", "open_clip_torch", "onnx", "onnxscript", "onnxruntime", "openvino", "safetensors", "tokenizers")


def tool_versions() -> dict[str, str]:
    """Return the version of each package that takes part in a build."""
    return {tool: version(tool) for tool in _TOOLS}


def weights_sha256(checkpoint: Checkpoint) -> str:
    """Hash a network's weights: names, shapes and float32 values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(checkpoint.model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build_inputs(
    checkpoint: Checkpoint, vocabulary: Vocabulary, reduction: Reduction | None, options: Mapping[str, object]
) -> dict[str, str]:
    """List everything that an engine depends on, by name; `options` are the other arguments of the build."""
    classifier = hashlib.sha256()
    for name, array in sorted(checkpoint.classifier.arrays().items()):
        classifier.update(name.encode() + array.tobytes())
    listed = {
        "weights": weights_sha256(checkpoint),
        "CLIP": checkpoint.clip_sha256(),
        "classifier": classifier.hexdigest(),
        "vocabulary": vocabulary.content_hash,
        "precision": reduction.precision if reduction else "fp32",
        "edge-hoi": __version__,
        **{name.replace("_", " "): json.dumps(value) for name, value in options.items()},
        **tool_versions(),
    }
    if reduction:
        listed["accuracy gate"] = json.dumps(
            [reduction.gate_frames.sha256, dict(reduction.limits), *([] if reduction.device == "auto" else [reduction.device])]
        )
    if reduction and reduction.calibration:
        listed["calibration"] = json.dumps([reduction.calibration_sha256, reduction.method])
        listed["bits of weights"] = json.dumps(reduction.weight_bits)
        listed["layers in float"] = json.dumps(reduction.keep_float or ["automatic", *KEEP_FLOAT])
    return listed
