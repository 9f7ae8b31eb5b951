"""`edge-hoi run`: video in, events out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edge_hoi.cli.engine_fetching import OfflineOption, get_engine
from edge_hoi.cli.signals import stop_on_signal
from edge_hoi.cli.sources import read_sources
from edge_hoi.cli.terminal import err, print_error, print_note
from edge_hoi.errors import ConfigError, DeliveryError, EdgeHoiError

if TYPE_CHECKING:
    from edge_hoi.config import RunConfig
    from edge_hoi.pipeline import CameraStatus
    from edge_hoi.types import Event

DEMO_EVENTS = "edge-hoi-demo.jsonl"
DEMO_VIDEO = "edge-hoi-demo.mp4"
CUT_SHORT_EXIT_CODE = 130
"""Of a recording that was stopped before its end, as shells report Ctrl-C."""
INCOMPLETE_EXIT_CODE = 9
"""With `--strict`, of a run in which images or frames were not read in full."""

SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        "-s",
        callback=read_sources,
        help="Video file, rtsp://, rtmp:// or http(s):// address, /dev/videoN, or folder of images. May be given several times; "
        "${NAME} in it is the environment variable NAME, or the text of the file that NAME_FILE names.",
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", help="Engine: a name, or a folder with a manifest; where absent, photo, but default for the embedded clip."),
]
VocabularyOption = Annotated[
    str | None, typer.Option("--vocabulary", help="What to detect: hico_det, vcoco, or a YAML list such as `- person riding bicycle`.")
]
DeviceName = Literal["auto", "cpu", "gpu", "npu", "cuda", "tensorrt", "openvino"]
"""As in `runtime`, which commands import when they run."""
DeviceOption = Annotated[
    DeviceName | None,
    typer.Option(
        "--device",
        help="Where the engine runs: cpu; cuda, an NVIDIA GPU; with OpenVINO gpu or npu, Intel's; in ONNX Runtime tensorrt or openvino. "
        "Where absent auto: CUDA or a discrete Intel GPU where the backend finds one, else cpu.",
    ),
]
AllowDemoOption = Annotated[
    bool,
    typer.Option(
        "--allow-demo-engine", help="Use the embedded engine, or let another trained on rendered images only run on live sources."
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="What runs the engine, where absent as it says; backends that may run code of its folder, such as tensorrt, must be named.",
    ),
]


def run(
    config: Annotated[
        Path | None,
        typer.Argument(
            help="Configuration, of which configs/ holds commented examples; or a folder of videos, a 'PATTERN', or - for standard input."
        ),
    ] = None,
    source: SourceOption = None,
    engine: EngineOption = None,
    vocabulary: VocabularyOption = None,
    events: Annotated[
        str | None,
        typer.Option("--events", help="Write events to this file: .jsonl; of recordings also .csv or .parquet; - for standard output."),
    ] = None,
    annotate: Annotated[str | None, typer.Option("--annotate", help="Write an annotated video to this file (.mp4, .mkv).")] = None,
    max_frames: Annotated[int | None, typer.Option("--max-frames", min=1, help="Stop after this many frames of each source.")] = None,
    device: DeviceOption = None,
    backend: BackendOption = None,
    allow_demo_engine: AllowDemoOption = False,
    offline: OfflineOption = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail at the end if images or frames were unreadable or corrupt, or a file truncated.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Of recordings, leave out those that an earlier run finished, and begin the others anew.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, max=64, help="Recordings at the same time; default: one for each two cores, up to 4.")
    ] = None,
) -> None:
    """Watch video and emit an event for each human-object interaction, with its start and end.

    Without arguments it plays the embedded clip with the embedded engine. Otherwise name a configuration, or sources; the engine `photo`,
    which is for real video, is then fetched once:

        edge-hoi run --source street.mp4 --events events.jsonl --annotate seen.mp4

        edge-hoi run --source 'rtsp://viewer:${CAMERA_PASSWORD}@camera/stream' --events -

        edge-hoi run 'archive/**/*.mp4' --events events.parquet --resume

    Options override the configuration file. Ctrl-C ends a run in order: open episodes emit `ended`, and files are closed.
    """
    from edge_hoi.api.settings import override
    from edge_hoi.config import RunConfig, SourceConfig
    from edge_hoi.ingest.url import STANDARD_INPUT
    from edge_hoi.pipeline.recordings import expand_sources

    if config is not None and (str(config) == STANDARD_INPUT or expand_sources([SourceConfig(url=str(config))])):
        source, config = [*(source or ()), str(config)], None
    loaded = _load(config) if config else RunConfig()
    changes: dict[str, Any] = {
        "sources": [{"url": url} for url in source] if source else None,
        "vocabulary": vocabulary,
        "sinks": [{"type": "jsonl", "path": events}] if events else None,
        "annotate": {"path": annotate} if annotate else None,
        "max_frames": max_frames,
        "engine": {
            "path": engine,
            "device": device,
            "backend": backend,
            "allow_demo": allow_demo_engine or None,
            "offline": offline or None,
        },
    }
    settings = override(loaded, changes, origin="command line")
    shown: list[Event] | None = None
    if not settings.sources:
        settings, shown = _demo(settings), []
    is_list = _is_list(settings, events, resume=resume, jobs=jobs)
    urls = [each.url for each in settings.sources]
    chosen = get_engine(settings.engine, urls, may_be_missing=settings.retry_unreachable_sources)
    settings = settings.model_copy(update={"engine": settings.engine.model_copy(update={"path": chosen})})
    if is_list:
        _run_recordings(settings, events, config_file=config, resume=resume, jobs=jobs, strict=strict)
    else:
        _run_sources(settings, config_file=config, shown=shown, strict=strict)


def _run_sources(settings: "RunConfig", *, config_file: Path | None, shown: "list[Event] | None", strict: bool) -> None:
    """Run all sources at once; `shown` collects the events of the embedded clip, which are compared with the truth."""
    from edge_hoi.cli.display import RunDisplay, summary_table
    from edge_hoi.pipeline import build_pipeline

    failure: Exception | None = None
    with stop_on_signal() as stop:
        pipeline = build_pipeline(settings, note=print_note, config_file=config_file)
        try:
            with RunDisplay(shows_events="-" not in _files(settings), keeps=shown) as display:
                pipeline.run(stop, display)
        except EdgeHoiError as error:  # the summary and what was lost are reported all the same
            failure = error
    statuses = pipeline.statuses()
    err.print(summary_table(statuses))
    if shown is not None and statuses[0].state == "ended":
        _compare_with_truth(shown)
    written = [path for path in _files(settings) if path != "-"]
    written += [str(camera.video_path) for camera in pipeline.cameras if camera.video_path]
    if written:
        print_note(f"written: {', '.join(written)}")
    lost = pipeline.delivery.lost()
    for line in [f"{status.source_id}: {status.error}" for status in statuses if status.state == "failed"] + lost:
        print_error(line)
    failure = failure or next((camera.failure for camera in pipeline.cameras if camera.failure), None)
    if failure:
        raise typer.Exit(getattr(failure, "exit_code", EdgeHoiError.exit_code))
    if lost:
        raise typer.Exit(DeliveryError.exit_code)
    if any(status.state == "stopped" and status.duration_seconds for status in statuses):
        raise typer.Exit(CUT_SHORT_EXIT_CODE)
    if strict:
        _fail_if_incomplete(statuses)


def _is_list(settings: "RunConfig", events: str | None, *, resume: bool, jobs: int | None) -> bool:
    """Whether the sources are recordings that are processed one after the other into one file."""
    from edge_hoi.pipeline.recordings import expand_sources
    from edge_hoi.sinks.event_files import form_of

    has_table = events is not None and form_of(events) != "jsonl"
    return has_table or resume or jobs is not None or expand_sources(settings.sources) is not None


def _run_recordings(
    settings: "RunConfig", events: str | None, *, config_file: Path | None, resume: bool, jobs: int | None, strict: bool
) -> None:
    """Run over a list of recordings, and write the events of all to one file."""
    from edge_hoi.cli.recordings import RecordingsDisplay, recordings_table
    from edge_hoi.pipeline.recordings import describe_recordings, expand_sources, run_recordings

    if events is None or events == "-":
        raise ConfigError("the events of a list of recordings go to one file; name it by --events, such as --events events.parquet")
    recordings = describe_recordings(expand_sources(settings.sources) or settings.sources)
    with stop_on_signal() as stop, RecordingsDisplay(recordings) as display:
        results = run_recordings(
            settings,
            recordings,
            Path(events),
            stop=stop,
            observer_of=display.of,
            finished=display.finish,
            note=print_note,
            config_file=config_file,
            resume=resume,
            jobs=jobs,
        )
    err.print(recordings_table(results))
    failed = [result for result in results if result.outcome == "failed"]
    for result in failed:
        print_error(f"{result.source_id}: {result.error}")
    if any(result.outcome == "stopped" for result in results):
        print_note(f"stopped before the end: {events} is not written; continue by the same command with --resume")
        raise typer.Exit(CUT_SHORT_EXIT_CODE)
    print_note(f"written: {events}")
    if failed:
        raise typer.Exit(failed[0].exit_code)
    incomplete = [result.source_id for result in results if result.outcome == "incomplete"]
    if strict and incomplete:
        print_error(f"not read in full: {', '.join(incomplete)}; check these recordings, or run without --strict")
        raise typer.Exit(INCOMPLETE_EXIT_CODE)


def _load(path: Path) -> "RunConfig":
    """Load a configuration; what may be a source instead is refused with the option for sources."""
    from edge_hoi.api.settings import config_path
    from edge_hoi.config import load_config

    try:
        return load_config(path)
    except ConfigError as error:
        if config_path(path):
            raise
        raise ConfigError(f"{error}; to watch a video, a camera or a folder, name it by --source") from error


def _fail_if_incomplete(statuses: "Sequence[CameraStatus]") -> None:
    """Report the sources that were not read in full, and exit if there are any."""
    incomplete = [status for status in statuses if status.unreadable or status.corrupt or status.is_truncated]
    for status in incomplete:
        how = f"{status.unreadable} unreadable, {status.corrupt} corrupt" + (", truncated" if status.is_truncated else "")
        print_error(f"{status.source_id}: not read in full ({how}); check the source, or run without --strict")
    if incomplete:
        raise typer.Exit(INCOMPLETE_EXIT_CODE)


def _files(settings: "RunConfig") -> list[str]:
    """List the files that events are written to."""
    from edge_hoi.sinks import JsonlSettings

    return [sink.path for sink in settings.sinks if isinstance(sink, JsonlSettings)]


def _demo(settings: "RunConfig") -> "RunConfig":
    """Play the embedded clip, and write its events and an annotated video unless other outputs are configured."""
    from edge_hoi.config import AnnotateConfig, SourceConfig
    from edge_hoi.demo import DEMO_CLIP
    from edge_hoi.sinks import JsonlSettings

    print_note("no source given: playing the embedded clip; name yours with --source VIDEO or --source rtsp://...")
    return settings.model_copy(
        update={
            "sources": (SourceConfig(url=str(DEMO_CLIP), id="demo"),),
            "sinks": settings.sinks or (JsonlSettings(path=DEMO_EVENTS),),
            "annotate": settings.annotate or AnnotateConfig(path=DEMO_VIDEO),
        }
    )


def _compare_with_truth(events: "list[Event]") -> None:
    """Print the embedded clip's ground-truth episodes, detected or missed."""
    from edge_hoi.demo import DEMO_CLIP
    from edge_hoi.events.cloudevents import render
    from edge_hoi.lab.datasets.truth import read_truth, truth_path
    from edge_hoi.lab.evaluation.events import episode_table, predicted_episodes, score_events

    path = truth_path(DEMO_CLIP)
    if path.is_file():
        predicted = predicted_episodes(render(event) for event in events)
        err.print(episode_table(score_events(read_truth(path), predicted, name="the embedded clip")))
