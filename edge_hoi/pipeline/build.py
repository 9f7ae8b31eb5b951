"""Turn a configuration into a pipeline: the one place where names become objects."""

import difflib
import itertools
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from edge_hoi.compat import UTC
from edge_hoi.config import RunConfig, SourceConfig, cache_folder
from edge_hoi.detection import (
    Detector,
)
from edge_hoi.errors import ConfigError
from edge_hoi.events import EpisodeKeeper, EpisodeSettings
from edge_hoi.ingest import SourceReader, open_source, source_kind
from edge_hoi.pipeline.annotated_video import AnnotatedVideo
from edge_hoi.pipeline.camera import Camera
from edge_hoi.pipeline.classifiers import load_classifier, load_engine_vocabulary
from edge_hoi.pipeline.detectors import DetectorPool, EnginePool
from edge_hoi.pipeline.engines import caution_of, engine_folder, with_precision_noted
from edge_hoi.pipeline.pipeline import Pipeline
from edge_hoi.pipeline.sinks import open_delivery
from edge_hoi.pipeline.source_names import RECORDINGS, name_sources
from edge_hoi.pipeline.thresholds import annotate_settings, episode_settings, tracker_settings
from edge_hoi.runtime import Engine, Manifest, open_engine, read_manifest
from edge_hoi.runtime.open import PLAN_BACKENDS
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker
from edge_hoi.types import ModelInfo
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

Note = Callable[[str], None]


def build_pipeline(config: RunConfig, *, note: Note) -> Pipeline:
    """Build a pipeline that is ready to run.

    Args:
        config: What to run; at least one source.
        note: Is told what a person should know, such as what its engine was never trained for.

    Raises:
        ConfigError: A vocabulary cannot be used.
        EngineError: The engine is missing, damaged, or does not fit the vocabulary.
        DeliveryError: The outbox or a sink's file cannot be opened.
        MissingDependencyError: A sink's client library is not installed.
    """
    stages = StageTimer()
    opener = _EngineOpener(config, note, stages)
    ids = name_sources([(source.id, source.url) for source in config.sources])
    cameras = [_camera(config, source, source_id, opener) for source, source_id in zip(config.sources, ids, strict=True)]
    _check_verbs(config, [camera.detectors.vocabulary for camera in cameras])
    if config.sinks and config.outbox.path is None and not all(camera.is_recording for camera in cameras):
        note("events not yet delivered are lost if this is killed; `outbox: {path: FILE}` in a configuration keeps them")
    delivery = open_delivery(config, ids)
    return Pipeline(
        cameras, opener.engines, delivery, stages=stages, max_batch=config.engine.max_batch, waits_for_sources=config.waits_for_sources
    )


def open_detectors(config: RunConfig, *, note: Note) -> DetectorPool:
    """Open what `edge-hoi detect` looks at pictures with.

    Args:
        config: Its `engine`, `vocabulary` and `detection`.
        note: See `build_pipeline`.

    Raises:
        ConfigError: The vocabulary cannot be used.
        EngineError: The engine is missing, damaged, or does not fit the vocabulary.
    """
    return _EngineOpener(config, note, StageTimer()).detectors(config.vocabulary)


class _EngineOpener:
    """One engine's folder, and the detectors of every vocabulary on it."""

    def __init__(self, config: RunConfig, note: Note, stages: StageTimer) -> None:
        self._config = config
        self._note = note
        self._stages = stages
        self.folder = engine_folder(config.engine.path)
        self.manifest = read_manifest(self.folder)
        if caution := caution_of(self.manifest):
            note(caution)
        self.episodes = episode_settings(config, self.manifest)
        self.engines = EnginePool(self._open, self.manifest.input)
        self.detectors = cache(self._detectors)

    def _open(self, size: tuple[int, int]) -> Engine:
        chosen = self._config.engine
        backend = chosen.backend or self.manifest.backend
        if backend == "torch":
            return _open_torch(self.folder, self.manifest, size, self._config)
        engine = open_engine(
            self.folder,
            backend=backend,
            input_size=size,
            max_batch=chosen.max_batch,
            device=chosen.device,
            precision_hint=chosen.precision,
            cache_folder=cache_folder() / "plans" if backend in PLAN_BACKENDS else None,
        )
        return engine if chosen.precision else with_precision_noted(engine, self._note)

    def _detectors(self, vocabulary_name: str | None) -> DetectorPool:
        vocabulary = load_vocabulary(vocabulary_name) if vocabulary_name else load_engine_vocabulary(self.folder, self.manifest)
        classifier = load_classifier(self.folder, self.manifest, vocabulary, cache=cache_folder() / "text", note=self._note)
        detection = self._config.detection
        make = partial(
            Detector,
            classifier=classifier,
            vocabulary=vocabulary,
            score_threshold=detection.score_threshold,
            max_interactions=detection.max_interactions,
            clock=self._stages,
        )
        return DetectorPool(self.engines, vocabulary, make)


def _open_torch(folder: Path, manifest: Manifest, size: tuple[int, int], config: RunConfig) -> Engine:
    from edge_hoi.model import LastLayer, load_checkpoint
    from edge_hoi.runtime.torch_engine import TorchEngine

    checkpoint = load_checkpoint(folder / "weights.safetensors")
    return TorchEngine(
        LastLayer(checkpoint.model), manifest, input_size=size, max_batch=config.engine.max_batch, device=config.engine.device
    )


def _camera(config: RunConfig, source: SourceConfig, source_id: str, opener: _EngineOpener) -> Camera:
    detectors = opener.detectors(source.vocabulary or config.vocabulary)
    is_recording = source.mode == "lossless" or (source.mode == "auto" and source_kind(source.url) in RECORDINGS)
    reader = SourceReader(
        partial(
            open_source,
            source.url,
            source_id=source_id,
            is_live=None if source.mode == "auto" else source.mode == "live",
            target_fps=source.target_fps,
            rtsp_transport=source.rtsp_transport,
            open_timeout_seconds=source.open_timeout_seconds,
            read_timeout_seconds=source.read_timeout_seconds,
            recorded_at=source.recorded_at,
        ),
        source_id=source_id,
    )
    started_at = datetime.now(UTC)

    def make_keeper(engine: Engine) -> EpisodeKeeper:
        return EpisodeKeeper(
            detectors.vocabulary,
            site=config.site,
            camera=source_id,
            model=ModelInfo(opener.manifest.name, opener.manifest.weights_sha256, engine.backend, engine.precision),
            settings=opener.episodes,
            # A recording's events are a function of the recording; a camera's must never be taken for those of another day.
            run_key="" if is_recording else started_at.isoformat(),
            wall_clock=None if is_recording else partial(datetime.now, UTC),
        )

    return Camera(
        source_id=source_id,
        reader=reader,
        is_recording=is_recording,
        detectors=detectors,
        tracker=Tracker(tracker_settings(config, opener.episodes)),
        make_keeper=make_keeper,
        make_video=_video_maker(config, source_id, detectors.vocabulary, opener.episodes),
        lost_after_seconds=opener.episodes.patience_seconds,
        max_frames=config.max_frames,
    )


def _check_verbs(config: RunConfig, vocabularies: list[Vocabulary]) -> None:
    """Refuse exceptions for verbs that nobody looks for: they are misspelt."""
    known = sorted({verb for vocabulary in vocabularies for verb in vocabulary.verbs})
    for verb in itertools.chain(config.episodes.verbs, *config.episodes.exclusive_groups):
        if verb not in known:
            near = difflib.get_close_matches(verb, known, n=1)
            mend = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known[:20])}"
            raise ConfigError(f"episodes: no vocabulary of this run has the verb {verb!r}; {mend}")


def _video_maker(
    config: RunConfig, source_id: str, vocabulary: Vocabulary, episodes: EpisodeSettings
) -> Callable[[float | None], AnnotatedVideo] | None:
    """Say how the annotated video of a source is made, once its frame rate is known."""
    if config.annotate is None:
        return None
    path = Path(config.annotate.path)
    if len(config.sources) > 1:
        path = path.with_stem(f"{path.stem}-{source_id}")
    return partial(AnnotatedVideo, path, vocabulary, annotate_settings(config.annotate, episodes))
