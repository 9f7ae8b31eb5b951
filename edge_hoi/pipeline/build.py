"""Turn a configuration into a pipeline: the only place that builds objects from names."""

import itertools
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from edge_hoi.compat import UTC
from edge_hoi.config import RunConfig, SourceConfig
from edge_hoi.errors import ConfigError, nearest_name
from edge_hoi.events import EpisodeKeeper, EventLabeller, Keeper, RuleKeeper, ZoneKeeper
from edge_hoi.ingest import IsolatedSource, RetryPolicy, Source, SourceReader, open_source, source_kind
from edge_hoi.ingest.url import is_local, local_path
from edge_hoi.media import MediaStore, check_video_path
from edge_hoi.overwriting import Named, refuse_overwriting
from edge_hoi.pipeline.annotated_video import AnnotatedVideo
from edge_hoi.pipeline.camera import Camera
from edge_hoi.pipeline.camera_watch import CameraWatch
from edge_hoi.pipeline.detector_builder import DetectorBuilder
from edge_hoi.pipeline.engines import refuse_demo_engine
from edge_hoi.pipeline.episode_media import EpisodeMedia
from edge_hoi.pipeline.motion import MotionGate
from edge_hoi.pipeline.pipeline import Pipeline
from edge_hoi.pipeline.rules import check_rules
from edge_hoi.pipeline.sinks import open_delivery
from edge_hoi.pipeline.source_names import RECORDINGS, name_sources
from edge_hoi.pipeline.thresholds import annotate_settings, tracker_settings
from edge_hoi.runtime import Engine
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker
from edge_hoi.types import ModelInfo, PacketListener
from edge_hoi.vocabulary import Vocabulary

Note = Callable[[str], None]

_MOST_REQUESTS = 4
"""Each needs memory for all of a network's activations."""


def build_pipeline(config: RunConfig, *, note: Note, config_file: Path | None = None, detectors: DetectorBuilder | None = None) -> Pipeline:
    """Build a pipeline that is ready to run.

    Args:
        config: What to run; at least one source.
        note: Called with messages for the user, such as the engine's caution.
        config_file: Where the configuration was read, which no output may overwrite.
        detectors: What several pipelines share, and their owner closes; None to build them for this one.

    Raises:
        ConfigError: A vocabulary cannot be used, the annotated video has an unknown suffix, or an output would overwrite a source, the
            configuration or another output.
        DownloadError: The engine is `photo`, and cannot or may not be fetched.
        EngineError: The engine is missing, damaged, or does not fit the vocabulary.
        DeliveryError: The outbox or a sink's file cannot be opened.
        MissingDependencyError: A sink's client library is not installed.
    """
    stages = StageTimer()
    ids = name_sources([(source.id, source.url) for source in config.sources], note)
    refuse_overwriting(_outputs(config, ids), _inputs(config, ids, config_file))
    if config.annotate is not None:
        check_video_path(Path(config.annotate.path))
    live_cameras = sum(not _is_recording(source) for source in config.sources)
    is_shared = detectors is not None
    detectors = detectors or DetectorBuilder(config, note, stages, max_requests=_max_requests(config), live_cameras=live_cameras)
    refuse_overwriting(_outputs(config, ids), [("part of the engine", detectors.folder)])
    store = MediaStore(config.media) if config.media else None
    cameras = [_camera(config, source, source_id, detectors, store) for source, source_id in zip(config.sources, ids, strict=True)]
    _check_verbs(config, [camera.vocabulary for camera in cameras])
    check_rules(config, {camera.source_id: camera.vocabulary for camera in cameras}, config_file)
    if config.sinks and config.outbox.path is None and not all(camera.is_recording for camera in cameras):
        note("events that are not delivered yet are lost if this program is killed; set `outbox: {path: FILE}` to keep them")
    delivery = open_delivery(config, ids, store.read if store else None)
    return Pipeline(
        cameras,
        detectors.pool,
        delivery,
        stages=stages,
        max_requests=detectors.max_requests,
        batch_window_seconds=config.engine.batch_window_seconds,
        retry_unreachable_sources=config.retry_unreachable_sources,
        closes_detectors=not is_shared,
        watch=CameraWatch(config.site) if any(sink.needs_camera_events for sink in config.sinks) else None,
    )


def _max_requests(config: RunConfig) -> int:
    """Choose how many runs of the engine are computed at the same time.

    Several give more frames a second, as each uses fewer cores; one gives a single live camera the lowest latency.
    """
    if config.engine.requests != "auto":
        return config.engine.requests
    is_one_live = len(config.sources) == 1 and not _is_recording(config.sources[0])
    return 1 if is_one_live else min(_MOST_REQUESTS, os.cpu_count() or 1)


def _is_recording(source: SourceConfig) -> bool:
    return source.mode == "lossless" or (source.mode == "auto" and source_kind(source.url) in RECORDINGS)


def _camera(config: RunConfig, source: SourceConfig, source_id: str, detectors: DetectorBuilder, store: MediaStore | None) -> Camera:
    vocabulary = detectors.vocabulary(source.vocabulary or config.vocabulary)
    wanted = detectors.manifest.input
    ring = config.media.clips.make_ring() if config.media and config.media.clips else None
    reader, is_recording = make_reader(
        source, source_id, is_patient=config.retry_unreachable_sources, least_size=(wanted.width, wanted.height), listener=ring
    )
    if not is_recording and not config.engine.allow_demo:
        refuse_demo_engine(detectors.manifest, source_id)
    started_at = datetime.now(UTC)

    def make_keeper(engine: Engine) -> Keeper:
        settings = detectors.episodes_of(vocabulary)
        keeper = EpisodeKeeper(
            vocabulary,
            site=config.site,
            camera=source_id,
            model=ModelInfo(detectors.manifest.name, detectors.manifest.weights_sha256, engine.backend, engine.precision),
            settings=settings,
            # A recording's event ids depend on the recording alone; a camera's differ in every run.
            run_key="" if is_recording else started_at.isoformat(),
            wall_clock=None if is_recording else partial(datetime.now, UTC),
        )
        if not (source.zones or source.lines or config.rules):
            return keeper
        rules = RuleKeeper(config.rules, vocabulary, camera=source_id)
        interval = settings.update_interval_seconds
        return EventLabeller(keeper, ZoneKeeper(source.zones, source.lines), rules, update_interval_seconds=interval)

    make_media: Callable[[], EpisodeMedia] | None = None
    if config.media and store:
        make_media = partial(
            EpisodeMedia,
            store,
            camera=source_id,
            snapshots=config.media.snapshots,
            clips=config.media.clips,
            ring=ring,
            is_recording=is_recording,
        )
    return Camera(
        source_id=source_id,
        reader=reader,
        is_recording=is_recording,
        vocabulary=vocabulary,
        tracker=Tracker(tracker_settings(config, detectors.episodes)),
        make_keeper=make_keeper,
        make_video=_video_maker(config, source_id, detectors.episodes.lowest_leave, drops=not is_recording),
        lost_after_seconds=detectors.episodes.patience_seconds,
        max_frames=config.max_frames,
        priority=source.priority,
        gate=MotionGate() if source.detect_when == "motion" or (source.detect_when == "auto" and not is_recording) else None,
        make_media=make_media,
    )


def _video_path(config: RunConfig, path: str, source_id: str) -> Path:
    video = Path(path)
    return video.with_stem(f"{video.stem}-{source_id}") if len(config.sources) > 1 else video


def _outputs(config: RunConfig, ids: Sequence[str]) -> list[Named]:
    """List the files that a run writes."""
    outputs = [(f"the file of sink {sink.sink_name}", path) for sink in config.sinks for path in sink.files]
    if config.outbox.path is not None:
        outputs.append(("the outbox", Path(config.outbox.path)))
    if config.annotate is not None:
        outputs += [(f"the annotated video of {name}", _video_path(config, config.annotate.path, name)) for name in ids]
    return outputs


def _inputs(config: RunConfig, ids: Sequence[str], config_file: Path | None) -> list[Named]:
    """List the files and folders that a run reads."""
    inputs = [(f"source {name}", local_path(source.url)) for name, source in zip(ids, config.sources, strict=True) if is_local(source.url)]
    vocabularies = (config.vocabulary, *(source.vocabulary for source in config.sources))
    inputs += [("a vocabulary", Path(name)) for name in vocabularies if isinstance(name, str) and Path(name).suffix]
    if config_file is not None:
        inputs.append(("the configuration", config_file))
    return inputs


def make_reader(
    source: SourceConfig,
    source_id: str,
    *,
    is_patient: bool = False,
    least_size: tuple[int, int] | None = None,
    listener: PacketListener | None = None,
) -> tuple[SourceReader, bool]:
    """Make the reader of a source, which opens it once started.

    Args:
        source: Its settings.
        source_id: Its name.
        is_patient: See `RetryPolicy`; of recordings it changes nothing.
        least_size: See `open_source`.
        listener: Follows its packets; not possible with a `memory_limit`.

    Returns:
        The reader, and whether the source is a recording, whose frames are waited for.
    """
    opener: Callable[..., Source] = open_source
    if source.memory_limit is not None:
        opener = partial(IsolatedSource, memory_limit=source.memory_limit)
    if listener is not None:
        opener = partial(opener, listener=listener)
    reader: SourceReader = SourceReader(
        partial(
            opener,
            source.url,
            source_id=source_id,
            is_live=None if source.mode == "auto" else source.mode == "live",
            target_fps=source.target_fps,
            rtsp_transport=source.rtsp_transport,
            open_timeout_seconds=source.open_timeout_seconds,
            read_timeout_seconds=source.read_timeout_seconds,
            follow_seconds=source.follow_seconds,
            recorded_at=source.recorded_at,
            max_pixels=source.max_pixels,
            tls_verify=source.tls_verify,
            ca_file=source.ca_file,
            allowed_hosts=source.allowed_hosts,
            username=source.username,
            password=source.password,
            password_file=source.password_file,
            ffmpeg_options={name: str(value) for name, value in source.ffmpeg_options.items()},
            decoder=source.decoder,
            deinterlace=source.deinterlace,
            video_stream=source.video_stream,
            least_size=least_size,
            is_stopped=lambda: reader.mailbox.is_finished,
        ),
        source_id=source_id,
        retries=RetryPolicy(**source.reconnect.model_dump(), is_patient=is_patient and not _is_recording(source)),
        listener=listener,
    )
    return reader, _is_recording(source)


def _check_verbs(config: RunConfig, vocabularies: list[Vocabulary]) -> None:
    """Refuse settings for verbs and interactions that no vocabulary of the run has: they are misspelt."""
    verbs = {verb for vocabulary in vocabularies for verb in vocabulary.verbs}
    interactions = {f"{each.verbs[hoi.verb_id]} {each.objects[hoi.object_id]}" for each in vocabularies for hoi in each.hois}
    named = itertools.chain(config.episodes.verbs, *config.episodes.exclusive_groups)
    for kind, names, known in (("verb", named, sorted(verbs)), ("interaction", config.episodes.interactions, sorted(interactions))):
        for name in names:
            if name not in known:
                fix = nearest_name(name, known, f"known are {', '.join(known[:20])}")
                raise ConfigError(f"episodes: no vocabulary of this run has the {kind} {name!r}; {fix}")


def _video_maker(config: RunConfig, source_id: str, lowest_score: float, *, drops: bool) -> Callable[[float | None], AnnotatedVideo] | None:
    """Return what makes a source's annotated video once its frame rate is known."""
    if config.annotate is None:
        return None
    path = _video_path(config, config.annotate.path, source_id)
    return partial(AnnotatedVideo, path, annotate_settings(config.annotate, lowest_score), drops=drops)
