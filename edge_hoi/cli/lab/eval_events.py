"""`edge-hoi eval events`: event quality on videos with ground truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_hoi.cli.lab.results import check_outputs, progress_bar, write_json
from edge_hoi.cli.run import DeviceOption, VocabularyOption
from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from edge_hoi.config import RunConfig
    from edge_hoi.lab.datasets.truth import Truth
    from edge_hoi.lab.evaluation.events import ScoredVideo


def events(
    events: Annotated[Path | None, typer.Option("--events", help="Events of a run, written by `edge-hoi run --events`.")] = None,
    truth: Annotated[
        list[Path] | None, typer.Option("--truth", help="Ground truth of their video (NAME.truth.json); one for each camera.")
    ] = None,
    videos: Annotated[Path | None, typer.Option("--videos", help="Instead: run every video of this folder with a NAME.truth.json.")] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="With --videos. An engine by name, or a folder with a manifest; default where absent.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="With --videos. Configuration; its sources and sinks are ignored.")
    ] = None,
    vocabulary: VocabularyOption = None,
    device: DeviceOption = None,
    min_seconds: Annotated[float, typer.Option("--min-seconds", min=0, help="Shorter ground-truth episodes are ignored.")] = 0.0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write all metrics, and every episode, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Plot true and predicted episodes over time (.png, .svg, .pdf).")] = None,
) -> None:
    """Compare events with ground truth: found and missed episodes, delays, duplicates and false positives.

    docs/event-quality.md defines every metric, and the ground truth's format.

        edge-hoi eval events --events events.jsonl --truth street.truth.json

        edge-hoi eval events --videos test-videos --engine default --output results.json --plot timeline.png
    """
    from edge_hoi.lab.evaluation.events import episode_table, event_results, plot_timeline, result_tables, video_to_json

    check_outputs(output, plot, [events, *(truth or ()), videos, config])
    if events and truth and not (videos or engine or config or vocabulary or device):
        scored, about = _score_file(events, truth, min_seconds), {"events": str(events)}
    elif videos and not (events or truth):
        scored, about = _score_videos(videos, choose_settings(config, engine, vocabulary, device), min_seconds)
    else:
        raise ConfigError(
            "expected --events FILE with --truth FILE, or --videos FOLDER with --engine, --config, --vocabulary and --device as wanted; "
            "give one or the other"
        )
    results = event_results(scored)
    for table in result_tables(results):
        out.print(table)
    if len(scored) == 1:
        out.print(episode_table(scored[0]))
    if output:
        form = about | {"min_seconds": min_seconds, "results": results.to_json(), "videos": [video_to_json(each) for each in scored]}
        write_json(output, form)
    if plot:
        plot_timeline(scored, plot)


def _score_file(events: Path, paths: Sequence[Path], min_seconds: float) -> "list[ScoredVideo]":
    """Score a file of events. With several cameras, each goes with the ground truth of the video of its name."""
    from edge_hoi.lab.datasets.truth import read_truth
    from edge_hoi.lab.evaluation.events import predicted_episodes, read_events, score_events

    truths = {Path(truth.video.file).stem: truth for truth in map(read_truth, paths)}
    if len(truths) < len(paths):
        raise ConfigError("two files of --truth are of videos with the same name; evaluate them one by one")
    episodes = predicted_episodes(read_events(events))
    cameras = sorted({episode.camera for episode in episodes})
    if len(truths) == 1 and len(cameras) <= 1:
        (name,) = truths
        return [score_events(truths[name], episodes, name=name, min_seconds=min_seconds)]
    unknown = [camera for camera in cameras if camera not in truths]
    if unknown:
        raise ConfigError(
            f"{events} holds events of the camera {unknown[0]}, expected those of {', '.join(truths)}; give the ground truth of each "
            "camera's video with --truth, and name the camera like the video"
        )
    return [
        score_events(truth, [each for each in episodes if each.camera == name], name=name, min_seconds=min_seconds)
        for name, truth in truths.items()
    ]


def _score_videos(folder: Path, settings: "RunConfig", min_seconds: float) -> "tuple[list[ScoredVideo], dict[str, Any]]":
    """Run the videos and score each; also return the engine and the throughput."""
    from edge_hoi.lab.evaluation.events import predicted_episodes, score_events
    from edge_hoi.lab.evaluation.events.videos import run_videos
    from edge_hoi.pipeline.engines import engine_folder
    from edge_hoi.runtime import read_manifest

    truths = truths_of(folder)
    assert settings.engine.path
    manifest = read_manifest(engine_folder(settings.engine.path))
    total = sum(truth.video.duration_seconds for truth in truths.values())
    scored, frames, busy, before = [], 0, 0.0, 0.0
    with progress_bar("videos", total=total) as update:

        def show(video: Path, seconds: float) -> None:
            update(completed=before + seconds, description=video.name)

        for run in run_videos(list(truths), settings, note=print_note, progress=show):
            truth, status = truths[run.video], run.status
            scored.append(score_events(truth, predicted_episodes(run.events), name=run.video.stem, min_seconds=min_seconds))
            before += truth.video.duration_seconds
            frames += status.frames
            busy += status.frames / status.fps if status.fps else 0.0
    speed = frames / busy if busy else 0.0
    out.print(f"{frames} frames of {len(truths)} videos, {speed:.1f} frames a second from file to events")
    about = {
        "engine": {"name": manifest.name, "weights_sha256": manifest.weights_sha256, "precision": manifest.precision},
        "frames": frames,
        "frames_per_second": speed,
    }
    return scored, about


def truths_of(folder: Path) -> "dict[Path, Truth]":
    """Read the ground truth of every video of a folder."""
    from edge_hoi.lab.datasets.truth import SUFFIX, read_truth

    if not folder.is_dir():
        raise DatasetError(f"expected a folder of videos, found none at {folder}; check the path")
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise DatasetError(f"expected videos with ground truth (a.mp4, a{SUFFIX}) in {folder}, found no *{SUFFIX}")
    truths = {folder / truth.video.file: truth for truth in map(read_truth, paths)}
    missing = [video for video in truths if not video.is_file()]
    if missing:
        raise DatasetError(f"{missing[0]} is missing, but its ground truth is there; add the video or remove the ground truth")
    return truths


def choose_settings(config: Path | None, engine: str | None, vocabulary: str | None, device: str | None) -> "RunConfig":
    """Return a command's configuration, with its options instead where given."""
    from edge_hoi.config import RunConfig, load_config

    settings = load_config(config) if config else RunConfig()
    chosen = {name: value for name, value in {"path": engine or settings.engine.path or "default", "device": device}.items() if value}
    return settings.model_copy(
        update={"engine": settings.engine.model_copy(update=chosen), "vocabulary": vocabulary or settings.vocabulary}
    )
