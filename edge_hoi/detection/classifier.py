"""Classifiers: the matrices that turn an engine's embeddings into logits of a vocabulary.

B batch, Q queries, E embedding size, N HOI categories, V verbs, K objects (a classifier has K + 1 object rows, "nothing" last).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from edge_hoi.errors import EngineError
from edge_hoi.vocabulary import Vocabulary

Floats = NDArray[np.float32]
ONE_THREAD_LIMIT = 1 << 18
"""Largest matrix product, in multiplications, that OpenBLAS computes in one thread.

Its threads busy-wait for each other: if decoders and engines use the cores, a product of 0.5 ms takes 50 to 150 ms. In blocks below this
limit it takes 1 ms.
"""
_ROWS = 32
_RANKS = {"weight": 2, "bias": 1, "hoi": 2, "scale": 0, "share": 0}


@dataclass(frozen=True, eq=False)
class Classifier:
    """The classifier of one vocabulary. Arrays are float32.

    Attributes:
        hoi_weight: `(N, E)`.
        hoi_bias: `(N,)`.
        hoi_scale: `()` factor on HOI and verb scores (a checkpoint stores its logarithm, `logit_scale`).
        object_weight: `(K + 1, E)`.
        object_bias: `(K + 1,)`.
        object_scale: `()` factor on object scores.
        verb_weight: `(V, E)`, for the verbs of the classifier that was trained.
        verb_to_hoi: `(V, N)` 1 where the verb is part of the category.
        verb_share: `()` weight of the verbs: 0.5 for HICO-DET, 0.1 for V-COCO.
    """

    hoi_weight: Floats
    hoi_bias: Floats
    hoi_scale: Floats
    object_weight: Floats
    object_bias: Floats
    object_scale: Floats
    verb_weight: Floats
    verb_to_hoi: Floats
    verb_share: Floats

    def __post_init__(self) -> None:
        """Raise `EngineError` unless types and shapes are right and all numbers finite."""
        for field in fields(self):
            array: Floats = getattr(self, field.name)
            if array.dtype != np.float32 or array.ndim != _RANKS[field.name.rsplit("_", 1)[1]] or not np.isfinite(array).all():
                raise EngineError(f"a classifier's {field.name} is finite float32, got {array.shape} {array.dtype}; build the engine again")
        (hois, width), objects, verbs = self.hoi_weight.shape, len(self.object_weight), len(self.verb_weight)
        expected = {
            "hoi_bias": (hois,),
            "object_weight": (objects, width),
            "object_bias": (objects,),
            "verb_weight": (verbs, width),
            "verb_to_hoi": (verbs, hois),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise EngineError(f"a classifier's {name} is {shape} here, got {getattr(self, name).shape}; build the engine again")

    @property
    def embedding_size(self) -> int:
        """E."""
        return int(self.hoi_weight.shape[1])

    def logits(self, outputs: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """Classify embeddings (HOICLIP's heads).

        Args:
            outputs: An engine's outputs, with `interaction_embeddings` and `object_embeddings`, `(B, Q, E)`, and `verb_embeddings` if the
                engine has them.

        Returns:
            HOI logits `(B, Q, N)` and object logits `(B, Q, K + 1)`.
        """
        hoi_scores = similarities(outputs["interaction_embeddings"], self.hoi_weight) + self.hoi_bias
        if "verb_embeddings" in outputs:
            verb_scores = similarities(outputs["verb_embeddings"], self.verb_weight)
            hoi_scores = hoi_scores + self.verb_share * similarities(verb_scores, self.verb_to_hoi.T)
        object_scores = similarities(outputs["object_embeddings"], self.object_weight) + self.object_bias
        return np.asarray(self.hoi_scale * hoi_scores, np.float32), np.asarray(self.object_scale * object_scores, np.float32)


def similarities(embeddings: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply `(..., E)` embeddings with the `(N, E)` rows of a classifier, to `(..., N)`; all float32."""
    rows = embeddings.reshape(-1, weight.shape[1])
    products = np.empty((len(rows), len(weight)), np.float32)
    step = max(1, ONE_THREAD_LIMIT // (_ROWS * weight.shape[1]))
    for top in range(0, len(rows), _ROWS):
        for left in range(0, len(weight), step):
            block = products[top : top + _ROWS, left : left + step]
            np.matmul(rows[top : top + _ROWS], weight[left : left + step].T, out=block)
    return products.reshape(*embeddings.shape[:-1], len(weight))


def write_classifier(path: Path, classifier: Classifier, vocabulary: Vocabulary, *, clip_sha256: str) -> None:
    """Write a classifier as safetensors, with tensors named as its fields, and the hash of the CLIP weights of its embeddings."""
    tensors = {field.name: np.asarray(getattr(classifier, field.name), order="C") for field in fields(classifier)}
    path.write_bytes(safetensors.numpy.save(tensors, _metadata(vocabulary, clip_sha256)))


def read_classifier(path: Path, vocabulary: Vocabulary, *, clip_sha256: str, name: Path | None = None) -> Classifier:
    """Read the classifier of a vocabulary and of the CLIP weights with this hash.

    Args:
        path: The file to read.
        vocabulary: The vocabulary.
        clip_sha256: Hash of the CLIP weights.
        name: The file's name for messages, if `path` is a copy.

    Raises:
        EngineError: The file cannot be read, is incomplete, or belongs to another vocabulary or CLIP.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no dict
    except (OSError, AttributeError, TypeError, safetensors.SafetensorError) as error:  # some of types that NumPy lacks
        raise EngineError(f"{name or path} is not a readable classifier ({error}); build the engine again") from error
    path = name or path
    for key, expected in _metadata(vocabulary, clip_sha256).items():
        if metadata.get(key) != expected:
            raise EngineError(f"{path} has {key} {metadata.get(key)!r}, expected {expected!r}; build the engine again with this edge-hoi")
    names = {field.name for field in fields(Classifier)}
    if tensors.keys() != names:
        raise EngineError(f"{path} has missing or unknown tensors: {', '.join(sorted(tensors.keys() ^ names))}; build the engine again")
    classifier = Classifier(**tensors)
    rows, expected_rows = (len(classifier.hoi_weight), len(classifier.object_weight)), (len(vocabulary), len(vocabulary.object_prompts))
    if rows != expected_rows:
        raise EngineError(f"{path} has rows for {rows} categories and objects, expected {expected_rows}; build the engine again")
    return classifier


def prompts_to_encode(base_vocabulary: Vocabulary, vocabulary: Vocabulary) -> tuple[str, ...]:
    """List the prompts whose text features `for_vocabulary` needs, each once: those of categories and objects missing in the base."""
    known_hois = {hoi.prompt for hoi in base_vocabulary.hois}
    hois = [hoi.prompt for hoi in vocabulary.hois if hoi.prompt not in known_hois]
    objects = zip(vocabulary.objects, vocabulary.object_prompts[:-1], strict=True)
    return tuple(dict.fromkeys([*hois, *(prompt for noun, prompt in objects if noun not in base_vocabulary.objects)]))


def for_vocabulary(
    base: Classifier, base_vocabulary: Vocabulary, vocabulary: Vocabulary, text_features: Mapping[str, Floats]
) -> Classifier:
    """Build a classifier for a vocabulary from a trained one and, for unknown categories and objects, text features.

    A category keeps its trained row, bias and verbs if the base has its prompt; an object if the base has its name. Others get their
    prompt's text feature without bias, as in HOICLIP's zero-shot evaluation, and the trained row of their verb, if there is one.

    Args:
        base: The trained classifier.
        base_vocabulary: Its vocabulary.
        vocabulary: The vocabulary to detect.
        text_features: `(E,)` text feature, of any length but 0, of each of `prompts_to_encode`.

    Raises:
        EngineError: A text feature is missing or has another size, so it belongs to another CLIP.
    """
    hoi_rows = {hoi.prompt: row for row, hoi in enumerate(base_vocabulary.hois)}
    object_rows = {noun: row for row, noun in enumerate(base_vocabulary.objects)}
    verb_rows = {verb: row for row, verb in enumerate(base_vocabulary.verbs)}
    hoi_sources = [hoi_rows.get(hoi.prompt) for hoi in vocabulary.hois]
    nothing = len(base_vocabulary.objects)
    object_sources = [*(object_rows.get(noun) for noun in vocabulary.objects), nothing]
    hoi_prompts = [hoi.prompt for hoi in vocabulary.hois]
    hoi_weight, hoi_bias = _rows(base.hoi_weight, base.hoi_bias, hoi_sources, hoi_prompts, text_features)
    object_weight, object_bias = _rows(base.object_weight, base.object_bias, object_sources, vocabulary.object_prompts, text_features)
    verb_to_hoi = np.zeros((len(base.verb_weight), len(vocabulary)), np.float32)
    for column, (hoi, source) in enumerate(zip(vocabulary.hois, hoi_sources, strict=True)):
        verb = verb_rows.get(vocabulary.verbs[hoi.verb_id])
        if source is not None:
            verb_to_hoi[:, column] = base.verb_to_hoi[:, source]
        elif verb is not None:
            verb_to_hoi[verb, column] = 1
    return replace(
        base, hoi_weight=hoi_weight, hoi_bias=hoi_bias, object_weight=object_weight, object_bias=object_bias, verb_to_hoi=verb_to_hoi
    )


def _rows(
    base_weight: Floats, base_bias: Floats, sources: list[int | None], prompts: Sequence[str], text_features: Mapping[str, Floats]
) -> tuple[Floats, Floats]:
    weight = np.empty((len(sources), base_weight.shape[1]), np.float32)
    bias = np.zeros(len(sources), np.float32)
    for row, (source, prompt) in enumerate(zip(sources, prompts, strict=True)):
        if source is None:
            weight[row] = _unit_feature(prompt, text_features, base_weight.shape[1])
        else:
            weight[row], bias[row] = base_weight[source], base_bias[source]
    return weight, bias


def _unit_feature(prompt: str, text_features: Mapping[str, Floats], size: int) -> Floats:
    feature = text_features.get(prompt)
    if feature is None or feature.shape != (size,):
        got = "none" if feature is None else f"{feature.shape}"
        raise EngineError(f"expected the text feature {(size,)} of {prompt!r}, got {got}; encode it with the CLIP of this engine")
    return np.asarray(feature / np.linalg.norm(feature), np.float32)


def _metadata(vocabulary: Vocabulary, clip_sha256: str) -> dict[str, str]:
    return {"vocabulary": vocabulary.name, "vocabulary_sha256": vocabulary.content_hash, "clip_sha256": clip_sha256}
