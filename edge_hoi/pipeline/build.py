"""Turn a configuration into a pipeline: the only place that builds objects from names."""

import difflib
import itertools
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from edge_hoi.compat import UTC
from edge_hoi.config import RunConfig, SourceConfig
from edge_hoi.errors import ConfigError
from edge_hoi.events import EpisodeKeeper, EpisodeSettings
from edge_hoi.ingest import SourceReader, open_source, source_kind
from edge_hoi.pipeline.annotated_video import AnnotatedVideo
from edge_hoi.pipeline.camera import Camera
from edge_hoi.pipeline.detector_builder import DetectorBuilder
from edge_hoi.pipeline.engines import refuse_demo_engine
from edge_hoi.pipeline.pipeline import Pipeline
from edge_hoi.pipeline.sinks import open_delivery
from edge_hoi.pipeline.source_names import RECORDINGS, name_sources
from edge_hoi.pipeline.thresholds import annotate_settings, tracker_settings
from edge_hoi.runtime import Engine
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker
from edge_hoi.types import ModelInfo
from edge_hoi.vocabulary import Vocabulary

Note = Callable[[str], None]


def build_pipeline(config: RunConfig, *, note: Note) -> Pipeline:
    """Build a pipeline that is ready to run.

    Args:
        config: What to run; at least one source.
        note: Called with messages for the user, such as the engine's caution.

    Raises:
        ConfigError: A vocabulary cannot be used.
        EngineError: The engine is missing, damaged, or does not fit the vocabulary.
        DeliveryError: The outbox or a sink's file cannot be opened.
        MissingDependencyError: A sink's client library is not installed.
    """
    stages = StageTimer()
    detectors = DetectorBuilder(config, note, stages)
    ids = name_sources([(source.id, source.url) for source in config.sources])
    cameras = [_camera(config, source, source_id, detectors) for source, source_id in zip(config.sources, ids, strict=True)]
    _check_verbs(config, [camera.vocabulary for camera in cameras])
    if config.sinks and config.outbox.path is None and not all(camera.is_recording for camera in cameras):
        note("events that are not delivered yet are lost if this program is killed; set `outbox: {path: FILE}` to keep them")
    delivery = open_delivery(config, ids)
    return Pipeline(
        cameras,
        detectors.pool,
        delivery,
        stages=stages,
        max_batch=config.engine.max_batch,
        retry_unreachable_sources=config.retry_unreachable_sources,
    )


def _camera(config: RunConfig, source: SourceConfig, source_id: str, detectors: DetectorBuilder) -> Camera:
    vocabulary = detectors.vocabulary(source.vocabulary or config.vocabulary)
    reader, is_recording = make_reader(source, source_id)
    if not is_recording and not config.engine.allow_demo:
        refuse_demo_engine(detectors.manifest, source_id)
    started_at = datetime.now(UTC)

    def make_keeper(engine: Engine) -> EpisodeKeeper:
        return EpisodeKeeper(
            vocabulary,
            site=config.site,
            camera=source_id,
            model=ModelInfo(detectors.manifest.name, detectors.manifest.weights_sha256, engine.backend, engine.precision),
            settings=detectors.episodes,
            # A recording's event ids depend on the recording alone; a camera's differ in every run.
            run_key="" if is_recording else started_at.isoformat(),
            wall_clock=None if is_recording else partial(datetime.now, UTC),
        )

    return Camera(
        source_id=source_id,
        reader=reader,
        is_recording=is_recording,
        vocabulary=vocabulary,
        tracker=Tracker(tracker_settings(config, detectors.episodes)),
        make_keeper=make_keeper,
        make_video=_video_maker(config, source_id, detectors.episodes),
        lost_after_seconds=detectors.episodes.patience_seconds,
        max_frames=config.max_frames,
    )


def make_reader(source: SourceConfig, source_id: str) -> tuple[SourceReader, bool]:
    """Make the reader of a source, which opens it once started.

    Returns:
        The reader, and whether the source is a recording, whose frames are waited for.
    """
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
    return reader, source.mode == "lossless" or (source.mode == "auto" and source_kind(source.url) in RECORDINGS)


def _check_verbs(config: RunConfig, vocabularies: list[Vocabulary]) -> None:
    """Refuse settings for verbs that no vocabulary of the run has: they are misspelt."""
    known = sorted({verb for vocabulary in vocabularies for verb in vocabulary.verbs})
    for verb in itertools.chain(config.episodes.verbs, *config.episodes.exclusive_groups):
        if verb not in known:
            near = difflib.get_close_matches(verb, known, n=1)
            fix = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known[:20])}"
            raise ConfigError(f"episodes: no vocabulary of this run has the verb {verb!r}; {fix}")


def _video_maker(config: RunConfig, source_id: str, episodes: EpisodeSettings) -> Callable[[float | None], AnnotatedVideo] | None:
    """Return what makes a source's annotated video once its frame rate is known."""
    if config.annotate is None:
        return None
    path = Path(config.annotate.path)
    if len(config.sources) > 1:
        path = path.with_stem(f"{path.stem}-{source_id}")
    return partial(AnnotatedVideo, path, annotate_settings(config.annotate, episodes))
