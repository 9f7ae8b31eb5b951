"""Compare this HOICLIP with another implementation's outputs for generated weights and images.

    python benchmarks/reference_parity.py REFERENCE.npz KEYS.tsv [--probes]

REFERENCE.npz holds the other's outputs and their case: `case`, `dataset`, `zero_shot` and `sizes`. KEYS.tsv lists the checkpoint's tensors:
name, tab, shape. Prints the largest difference of each output, and exits with 1 if one exceeds its tolerance.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that a checkout need not be installed

from edge_hoi.model.checkpoint import Checkpoint, checkpoint_from_published
from edge_hoi.model.reference_weights import random_checkpoint, random_clip_images, random_images
from edge_hoi.vocabulary import known_vocabularies, load_vocabulary, zero_shot_split

Arrays = Mapping[str, NDArray[Any]]

LOGITS, BOXES = 1e-3, 1e-4
TOLERANCES = {
    "pred_hoi_logits": LOGITS,
    "pred_obj_logits": LOGITS,
    "pred_sub_boxes": BOXES,
    "pred_obj_boxes": BOXES,
    "clip_visual": LOGITS,
    "clip_logits": LOGITS,
    "text_embedding_head": LOGITS,
}
PROMPTS_AT_ONCE = 100


class Probe(NamedTuple):
    """Location of an inner tensor of the reference.

    Attributes:
        module: Name of the module that outputs it.
        arrange: Converts the module's output to the reference's layout, which has tokens before images.
    """

    module: str
    arrange: Callable[[Any], Tensor]


PROBES = {
    "backbone.layer4": Probe("backbone", lambda features: features),
    "input_proj": Probe("input_projection", lambda features: features),
    "encoder.memory": Probe("encoder", lambda memory: memory.transpose(0, 1)),
    "instance_decoder": Probe("instance_decoder", lambda layers: torch.stack(layers).transpose(1, 2)),
    "clip.image_embedding": Probe("clip", lambda features: features.embedding),
    "interaction_decoder": Probe("interaction_decoder", lambda layers: torch.stack(layers).transpose(1, 2)),
}


def build(reference: Arrays, keys: Path) -> Checkpoint:
    """Build the network of the reference's case with its generated weights."""
    rows = (line.split("\t") for line in keys.read_text().splitlines())
    shapes = {name: tuple(int(size) for size in shape.split(",") if size) for name, shape in rows}
    dataset, split = _letters(reference["dataset"]), str(reference["zero_shot"])
    name = next((name for name in known_vocabularies() if _letters(name).startswith(dataset)), None)
    if name is None:
        raise SystemExit(f"expected a data set of {', '.join(known_vocabularies())}, got '{reference['dataset']}'")
    arrays = random_checkpoint(shapes, load_vocabulary(name), zero_shot_split(split) if split else ())
    return checkpoint_from_published({name: torch.from_numpy(array) for name, array in arrays.items()}, source=str(keys))


def _letters(name: object) -> str:
    return re.sub("[^a-z]", "", str(name).lower())


@torch.inference_mode()
def compute(checkpoint: Checkpoint, reference: Arrays) -> dict[str, NDArray[Any]]:
    """Compute the reference's contents: outputs, and probes by `probe/NAME/head` and `probe/NAME/mean_std_absmax`."""
    probes: dict[str, NDArray[Any]] = {}
    for name, probe in PROBES.items():
        checkpoint.model.get_submodule(probe.module).register_forward_hook(_recorder(name, probe, probes))
    case, sizes = str(reference["case"]), [(int(height), int(width)) for height, width in reference["sizes"]]
    images, padding = (torch.from_numpy(array) for array in random_images(case, sizes))
    clip_images = torch.from_numpy(random_clip_images(case, len(sizes), checkpoint.model.clip.image_size))
    outputs = checkpoint.model(images, clip_images, padding)
    last = outputs.layers[-1]
    logits = checkpoint.classifier(last)
    tokens = checkpoint.model.clip(clip_images).tokens  # (B, S, C)
    text = _encode([hoi.prompt for hoi in load_vocabulary(checkpoint.vocabulary).hois], checkpoint)  # (N, E)
    found = {
        "pred_hoi_logits": logits.hoi,
        "pred_obj_logits": logits.object,
        "pred_sub_boxes": last.human_boxes,
        "pred_obj_boxes": last.object_boxes,
        "clip_visual": tokens[:, :4] @ checkpoint.model.clip.projection,
        "clip_logits": (outputs.image_embedding @ functional.normalize(text, dim=-1).T),
        "text_embedding_head": text[:4],
    }
    return {name: tensor.numpy() for name, tensor in found.items()} | probes


def _recorder(name: str, probe: Probe, probes: dict[str, NDArray[Any]]) -> Callable[..., None]:
    def record(_module: torch.nn.Module, _inputs: object, output: object) -> None:
        values = probe.arrange(output).numpy()
        probes[f"probe/{name}/head"] = values.reshape(-1)[:16]
        probes[f"probe/{name}/mean_std_absmax"] = np.array([values.mean(), values.std(), np.abs(values).max()])

    return record


def _encode(prompts: list[str], checkpoint: Checkpoint) -> Tensor:
    token_ids = open_clip.tokenize(prompts, context_length=checkpoint.text.context_length)
    longest = int(token_ids.argmax(dim=-1).max()) + 1
    return torch.cat([checkpoint.text(chunk) for chunk in token_ids[:, :longest].split(PROMPTS_AT_ONCE)])


def largest_difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the largest absolute difference; NaN where the sizes differ."""
    if ours.size != theirs.size:
        return float("nan")
    return float(np.abs(ours.reshape(theirs.shape).astype(np.float64) - theirs).max())


def compare(ours: Arrays, reference: Arrays) -> bool:
    """Print a line for each output, and return whether all are within their tolerances."""
    is_passed = True
    for name, tolerance in TOLERANCES.items():
        if name not in reference:
            print(f"{name:36} not in the reference")
            is_passed &= not name.startswith("pred_")
            continue
        difference = largest_difference(ours[name], reference[name])
        is_close = difference <= tolerance  # false for NaN too
        is_passed &= is_close
        shapes = "" if ours[name].size == reference[name].size else f"  shapes {ours[name].shape} and {reference[name].shape}"
        print(f"{name:36} {difference:9.2e}  tolerance {tolerance:.0e}  {'PASS' if is_close else 'FAIL'}{shapes}")
    return is_passed


def compare_probes(ours: Arrays, reference: Arrays) -> None:
    """Print the differences of inner tensors in order, to locate where two implementations diverge."""
    for name in ours:
        if name.startswith("probe/") and name in reference:
            print(f"{name:36} {largest_difference(ours[name], reference[name]):9.2e}")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path, metavar="REFERENCE.npz")
    parser.add_argument("keys", type=Path, metavar="KEYS.tsv")
    parser.add_argument("--probes", action="store_true", help="print inner tensors' differences too")
    arguments = parser.parse_args()
    with np.load(arguments.reference) as archive:
        reference = dict(archive)
    ours = compute(build(reference, arguments.keys), reference)
    if arguments.probes:
        compare_probes(ours, reference)
    is_passed = compare(ours, reference)
    print("PASS" if is_passed else "FAIL")
    return 0 if is_passed else 1


if __name__ == "__main__":
    sys.exit(main())
