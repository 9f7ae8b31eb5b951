"""An engine without a model, for tests."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_hoi.runtime.engine import Arrays, InOrderEngine
from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.manifest_sections import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, ClipIdentity, InputDescription

Respond = Callable[[Arrays], dict[str, NDArray[np.float32]]]


def fake_manifest(**changes: object) -> Manifest:
    """Build the manifest of a small engine (96x160 pixels, 8 queries, embeddings of 16) without a folder; `changes` replace fields.

    Raises:
        pydantic.ValidationError: The changes are invalid.
    """
    fields: dict[str, object] = {
        "name": "fake",
        "description": "An engine without a model",
        "backend": "fake",
        "is_trained": False,
        "architecture": {},
        "weights_sha256": "0" * 64,
        "precision": "fp32",
        "files": {},
        "input": InputDescription(
            stride=32,
            height=96,
            width=160,
            clip_size=32,
            image_mean=IMAGENET_MEAN,
            image_std=IMAGENET_STD,
            clip_mean=CLIP_MEAN,
            clip_std=CLIP_STD,
        ),
        "num_queries": 8,
        "embedding_size": 16,
        "clip": ClipIdentity(model="fake", weights_sha256="0" * 64),
        "classifiers": {},
        "default_vocabulary": None,
        "text_tower": None,
        "tools": {},
        "created_by": "fake",
    }
    return Manifest.model_validate(fields | changes)


class FakeEngine(InOrderEngine):
    """Returns what `respond` returns for checked inputs, or random outputs seeded by each image."""

    backend = "fake"

    def __init__(
        self,
        manifest: Manifest | None = None,
        *,
        input_size: tuple[int, int] | None = None,
        max_batch: int = 1,
        respond: Respond | None = None,
    ) -> None:
        super().__init__(manifest or fake_manifest(), input_size=input_size, max_batch=max_batch)
        self._respond = respond or self._random_outputs

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return self._respond(inputs)

    def _release(self) -> None:
        pass

    def _random_outputs(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        rows = [self._random_row(images) for images in zip(*inputs.values(), strict=True)]
        return {name: np.stack([row[name] for row in rows]) for name in self.outputs}

    def _random_row(self, images: Sequence[NDArray[np.float32 | np.uint8]]) -> dict[str, NDArray[np.float32]]:
        seed = np.concatenate([image.ravel()[::97] for image in images]).astype(np.float32).view(np.uint32)
        generator = np.random.default_rng(seed)
        row = {}
        for name, spec in self.outputs.items():
            if name.endswith("_boxes"):
                row[name] = generator.uniform(0.2, 0.8, spec.shape[1:]).astype(np.float32)
            else:
                directions = generator.standard_normal(spec.shape[1:])
                row[name] = (directions / np.linalg.norm(directions, axis=-1, keepdims=True)).astype(np.float32)
        return row
