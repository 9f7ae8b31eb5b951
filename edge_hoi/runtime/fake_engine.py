"""An engine without a model, for tests of what stands around engines."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_hoi.runtime.engine import Arrays, CheckedEngine
from edge_hoi.runtime.manifest import ClipIdentity, InputDescription, Manifest

Answer = Callable[[Arrays], dict[str, NDArray[np.float32]]]


def fake_manifest(**changes: object) -> Manifest:
    """Make the manifest of a small engine that is in no folder.

    Args:
        changes: Fields to replace.

    Returns:
        A manifest with 96x160 pixels, 8 queries and embeddings of 16.

    Raises:
        pydantic.ValidationError: The changes do not fit.
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
            image_mean=(0.485, 0.456, 0.406),
            image_std=(0.229, 0.224, 0.225),
            clip_mean=(0.48145466, 0.4578275, 0.40821073),
            clip_std=(0.26862954, 0.26130258, 0.27577711),
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


class FakeEngine(CheckedEngine):
    """Gives made-up outputs that depend on each picture alone, or those that a test scripts."""

    backend = "fake"

    def __init__(
        self,
        manifest: Manifest | None = None,
        *,
        input_size: tuple[int, int] | None = None,
        max_batch: int = 1,
        answer: Answer | None = None,
    ) -> None:
        """Make it ready.

        Args:
            manifest: What it passes itself off as; None for `fake_manifest()`.
            input_size: `(H, W)` in pixels; None for the nominal one.
            max_batch: Most pictures in one run.
            answer: Gives the outputs for checked inputs; None for made-up ones.

        Raises:
            EngineError: The size or the batch is not usable.
        """
        super().__init__(manifest or fake_manifest(), input_size=input_size, max_batch=max_batch)
        self._answer = answer or self._make_up

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return self._answer(inputs)

    def _release(self) -> None:
        pass

    def _make_up(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        pictures = [self._make_up_one(image, clip) for image, clip in zip(inputs["image"], inputs["clip_image"], strict=True)]
        return {name: np.stack([picture[name] for picture in pictures]) for name in self.outputs}

    def _make_up_one(self, image: NDArray[np.float32], clip_image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        seed = np.concatenate([image.ravel()[::97], clip_image.ravel()[::97]]).view(np.uint32)
        generator = np.random.default_rng(seed)
        made_up = {}
        for name, spec in self.outputs.items():
            if name.endswith("_boxes"):
                made_up[name] = generator.uniform(0.2, 0.8, spec.shape[1:]).astype(np.float32)
            else:
                directions = generator.standard_normal(spec.shape[1:])
                made_up[name] = (directions / np.linalg.norm(directions, axis=-1, keepdims=True)).astype(np.float32)
        return made_up
