"""Detection in single images."""

from pathlib import Path
from typing import Any, overload

from numpy.typing import NDArray
from typing_extensions import Self

from edge_hoi.api.images import ImageFormat, to_rgb
from edge_hoi.api.settings import VocabularyLike, note, run_config
from edge_hoi.pipeline import DetectorBuilder
from edge_hoi.runtime import Device
from edge_hoi.telemetry import StageTimer
from edge_hoi.types import Interactions
from edge_hoi.vocabulary import Vocabulary

AnyImage = NDArray[Any] | str | Path


class Detector:
    """Detects human-object interactions in images; a context manager that closes its engine.

    Belongs to one thread at a time.

    Attributes:
        vocabulary: What it detects.
        timer: Times of the stages `preprocess`, `engine` and `postprocess`.
    """

    def __init__(
        self,
        engine: str | Path | None = None,
        *,
        vocabulary: VocabularyLike | Vocabulary | None = None,
        device: Device = "auto",
        backend: str | None = None,
        threshold: float | None = None,
        max_interactions: int = 100,
        max_batch: int = 1,
    ) -> None:
        """Find the engine and its classifier; the engine opens at the first image.

        Args:
            engine: Name of an engine, or a folder made by `edge-hoi build`; `photo` where absent, which is fetched once.
            vocabulary: `hico_det`, `vcoco`, a YAML file, a list such as `["person riding bicycle"]`, or a loaded vocabulary; the
                engine's own where absent.
            device: Where the engine runs; see `open_engine`.
            backend: What runs it, instead of what its manifest names.
            threshold: Least score of an interaction, in [0, 1]; the engine's own where absent, below which nothing is evidence of an event.
            max_interactions: Most interactions of an image.
            max_batch: Most images in one run of the engine.

        Raises:
            DownloadError: The engine is `photo`, and cannot or may not be fetched.
            EngineError: The engine is missing, damaged, a checkpoint, or does not fit the vocabulary.
            ConfigError: The vocabulary or another value is not usable.
        """
        config = run_config(
            None,
            engine={"path": engine and str(engine), "device": device, "backend": backend, "max_batch": max_batch},
            detection={"score_threshold": threshold, "max_interactions": max_interactions},
        )
        self.timer = StageTimer()
        self._builder = DetectorBuilder(config, note, self.timer)
        if threshold is None:
            self._builder.score_threshold = self._builder.shown_threshold
        self.vocabulary = self._builder.vocabulary(vocabulary)

    @overload
    def __call__(self, images: AnyImage, *, image_format: ImageFormat = "rgb") -> Interactions: ...

    @overload
    def __call__(self, images: list[AnyImage], *, image_format: ImageFormat = "rgb") -> list[Interactions]: ...

    def __call__(self, images: AnyImage | list[AnyImage], *, image_format: ImageFormat = "rgb") -> Interactions | list[Interactions]:
        """Detect the interactions of an image or of several.

        Args:
            images: `(H, W, 3)` uint8, the path of an image, or a list of these, of any size each.
            image_format: Channel order of arrays; `bgr` for OpenCV's.

        Returns:
            The interactions, best first; a list of them for a list of images, in order.

        Raises:
            ConfigError: An image has a wrong shape or type.
            SourceError: A file cannot be read.
            EngineError: The engine cannot be opened or fails.
        """
        if isinstance(images, list | tuple):
            return self._detect([to_rgb(image, image_format) for image in images])
        return self._detect([to_rgb(images, image_format)])[0]

    def _detect(self, images: list[Any]) -> list[Interactions]:
        """Detect in groups of one input size, and restore the order."""
        groups: dict[Any, list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault(self._builder.pool.detector_for(image, self.vocabulary), []).append(index)
        results: dict[int, Interactions] = {}
        for detector, indices in groups.items():
            results.update(zip(indices, detector.detect([images[index] for index in indices]), strict=True))
        return [results[index] for index in range(len(images))]

    def close(self) -> None:
        """Close the engine."""
        self._builder.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        manifest = self._builder.manifest
        return f"Detector({manifest.name!r}, {len(self.vocabulary)} interactions of {self.vocabulary.name!r}, {manifest.backend})"
