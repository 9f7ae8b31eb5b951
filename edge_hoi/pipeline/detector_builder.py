"""Build the detectors that a configuration asks for: one engine, any number of vocabularies, any image size."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from edge_hoi.config import RunConfig, cache_folder
from edge_hoi.detection import Classifier, FixedSizeDetector
from edge_hoi.errors import EngineError
from edge_hoi.events import EpisodeSettings
from edge_hoi.pipeline.batch_size import choose_batch
from edge_hoi.pipeline.classifiers import load_classifier, load_engine_vocabulary
from edge_hoi.pipeline.detector_pool import DetectorPool
from edge_hoi.pipeline.engine_choice import obtain_engine
from edge_hoi.pipeline.engines import caution_of, engine_opener
from edge_hoi.pipeline.thresholds import episode_settings, for_vocabulary
from edge_hoi.runtime import Engine, read_manifest
from edge_hoi.runtime.open import PLAN_BACKENDS
from edge_hoi.telemetry import StageTimer
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

Note = Callable[[str], None]

_MOST_IN_A_BATCH = 8
"""Larger ones gain little more, and need memory for all of a network's activations."""


class DetectorBuilder:
    """One engine's folder, and detectors on it for every vocabulary and input size; closed by `pool.close`."""

    def __init__(self, config: RunConfig, note: Note, timer: StageTimer, *, max_requests: int = 1, live_cameras: int = 0) -> None:
        """Read the manifest; engines open at the first image of a shape.

        Args:
            config: Its `engine`, `detection` and `episodes`, and `sources` for the choice of an engine where none is named.
            note: Called with messages for the user.
            timer: Collects the times of the detectors' stages.
            max_requests: Most runs of an engine at the same time; the attribute of this name is 1 where its backend computes no more.
            live_cameras: How many share the engine, for `max_batch: auto`.

        Raises:
            DownloadError: The engine is `photo`, and cannot or may not be fetched.
            EngineError: The engine is missing or damaged.
        """
        self._config = config
        self._note = note
        self._timer = timer
        self.folder = obtain_engine(config.engine, [source.url for source in config.sources], note=note)
        self.manifest = read_manifest(self.folder)
        if caution := caution_of(self.manifest):
            note(caution)
        self.episodes = episode_settings(config, self.manifest)
        self.score_threshold = config.detection.score_threshold
        chosen = config.engine
        self.max_requests = max_requests if (chosen.backend or self.manifest.backend) == "openvino" else 1
        open_engine = partial(
            engine_opener,
            self.folder,
            self.manifest,
            backend=chosen.backend,
            max_requests=self.max_requests,
            device=chosen.device,
            precision_hint=chosen.precision,
            note=note,
        )
        if chosen.max_batch == "auto":
            backend = chosen.backend or self.manifest.backend
            # A plan for larger batches may take minutes to build, and Intel's NPUs run single images.
            may_batch = live_cameras > 1 and backend not in PLAN_BACKENDS and chosen.device != "npu"
            most = min(_MOST_IN_A_BATCH, live_cameras) if may_batch else 1
        else:
            most = chosen.max_batch
        self.pool = DetectorPool(
            open_engine(max_batch=most) if most == 1 or chosen.max_batch != "auto" else _any_of(open_engine(max_batch=most), open_engine()),
            self._make_detector,
            self.manifest.input,
            max_batch=most,
            choose_batch=choose_batch if chosen.max_batch == "auto" else None,
        )
        self._vocabularies: dict[str | None, Vocabulary] = {}
        self._classifiers: dict[int, Classifier] = {}

    def vocabulary(self, name: str | Path | Sequence[str] | Vocabulary | None) -> Vocabulary:
        """Load a vocabulary by name, path or phrases, the engine's own for None, and make sure that the engine can detect it.

        Raises:
            ConfigError: The vocabulary cannot be used.
            EngineError: It has prompts that the engine cannot encode.
        """
        key = json.dumps(name, default=str) if not isinstance(name, Vocabulary) else None
        if key in self._vocabularies:
            return self._vocabularies[key]
        if isinstance(name, Vocabulary):
            vocabulary = name
        else:
            vocabulary = load_engine_vocabulary(self.folder, self.manifest) if name is None else load_vocabulary(name)
        self._classifiers[id(vocabulary)] = load_classifier(
            self.folder, self.manifest, vocabulary, cache=cache_folder() / "text", note=self._note
        )
        self._vocabularies[key or str(id(vocabulary))] = vocabulary
        return vocabulary

    @property
    def shown_threshold(self) -> float:
        """The least score of an interaction that is shown where nobody sets one."""
        own = self.manifest.score_threshold
        return self.episodes.lowest_leave if own is None else own

    def episodes_of(self, vocabulary: Vocabulary) -> EpisodeSettings:
        """Return the episode settings for a vocabulary of this engine."""
        if self.manifest.clip is not None:
            return self.episodes
        return for_vocabulary(self.episodes, load_engine_vocabulary(self.folder, self.manifest), vocabulary)

    def _make_detector(self, engine: Engine, vocabulary: Vocabulary) -> FixedSizeDetector:
        return FixedSizeDetector(
            engine,
            self._classifiers[id(vocabulary)],
            vocabulary,
            score_threshold=self.score_threshold,
            max_interactions=self._config.detection.max_interactions,
            tiles=self._config.detection.tiles,
            timer=self._timer,
        )


def _any_of(first: Callable[[tuple[int, int]], Engine], other: Callable[[tuple[int, int]], Engine]) -> Callable[[tuple[int, int]], Engine]:
    """Return what opens an engine by the first opener, or, where that cannot (there may be no memory for its batches), by the other."""

    def open_for(size: tuple[int, int]) -> Engine:
        try:
            return first(size)
        except EngineError:
            return other(size)

    return open_for
