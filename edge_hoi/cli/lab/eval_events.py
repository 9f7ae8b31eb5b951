"""`edge-hoi eval events`: how good a run's events are, on videos whose episodes are known."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, TimeRemainingColumn

from edge_hoi.cli.run import DeviceOption, VocabularyOption
from edge_hoi.cli.terminal import err, out, print_note
from edge_hoi.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from edge_hoi.config import RunConfig
    from edge_hoi.lab.datasets.truth import Truth
    from edge_hoi.lab.evaluation.events import Judgement


def events(
    events: Annotated[Path | None, typer.Option("--events", help="Events of a run, as `edge-hoi run --events` writes them.")] = None,
    truth: Annotated[
        list[Path] | None, typer.Option("--truth", help="Truth of the video they are of (NAME.truth.json); one for each camera.")
    ] = None,
    videos: Annotated[
        Path | None, typer.Option("--videos", help="Instead: run every video of this folder that has a NAME.truth.json beside it.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="With --videos. A name below engines/, or a folder with a manifest.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="With --videos. How to run them; its sources and sinks do not count.")
    ] = None,
    vocabulary: VocabularyOption = None,
    device: DeviceOption = None,
    min_seconds: Annotated[
        float, typer.Option("--min-seconds", min=0, help="True episodes that are shorter need not be found, and may be.")
    ] = 0.0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write all figures, and every episode, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the true and the told episodes over time (.png, .svg, .pdf).")] = None,
) -> None:
    """Hold events against the truth: what was found, when it was told, what was told twice or made up.

    docs/event-quality.md defines every figure, and the form of a truth.

        edge-hoi eval events --events events.jsonl --truth street.truth.json

        edge-hoi eval events --videos test-videos --engine default --output results.json --plot timeline.png
    """
    from edge_hoi.lab.evaluation import check_plot
    from edge_hoi.lab.evaluation.events import episode_table, event_results, judgement_form, plot_timeline, result_tables

    check_folders(output, plot)
    if plot:
        check_plot(plot)
    if events and truth and not (videos or engine or config or vocabulary or device):
        judgements, about = _judge_file(events, truth, min_seconds), {"events": str(events)}
    elif videos and not (events or truth):
        judgements, about = _judge_videos(videos, _settings(config, engine, vocabulary, device), min_seconds)
    else:
        raise ConfigError(
            "expected --events FILE with --truth FILE, or --videos FOLDER with --engine, --config, --vocabulary and --device as wanted; "
            "give the one or the other"
        )
    results = event_results(judgements)
    for table in result_tables(results):
        out.print(table)
    if len(judgements) == 1:
        out.print(episode_table(judgements[0]))
    if output:
        form = about | {"min_seconds": min_seconds, "results": results.to_json(), "videos": [judgement_form(each) for each in judgements]}
        output.write_text(json.dumps(form, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if plot:
        plot_timeline(judgements, plot)


def check_folders(*paths: Path | None) -> None:
    """Find out whether files can be written, before hours are spent on what goes into them.

    Args:
        paths: Where to; None for what is not wanted.

    Raises:
        ConfigError: The folder of one does not exist.
    """
    for path in paths:
        if path and not path.resolve().parent.is_dir():
            raise ConfigError(f"cannot write {path}: there is no folder {path.parent}; make it, or choose another place")


def _judge_file(events: Path, paths: Sequence[Path], min_seconds: float) -> "list[Judgement]":
    """Judge what a file holds. One truth and one camera belong together; of several, those with the name of the video do."""
    from edge_hoi.lab.datasets.truth import read_truth
    from edge_hoi.lab.evaluation.events import judge, predicted_episodes, read_events

    truths = {Path(truth.video.file).stem: truth for truth in map(read_truth, paths)}
    if len(truths) < len(paths):
        raise ConfigError("two of the files of --truth are of videos with the same name; judge them one by one")
    episodes = predicted_episodes(read_events(events))
    cameras = sorted({episode.camera for episode in episodes})
    if len(truths) == 1 and len(cameras) <= 1:
        (name,) = truths
        return [judge(truths[name], episodes, name=name, min_seconds=min_seconds)]
    unknown = [camera for camera in cameras if camera not in truths]
    if unknown:
        raise ConfigError(
            f"{events} holds events of the camera {unknown[0]}, expected those of {', '.join(truths)}; give the truth of each camera's "
            "video with --truth, the camera named like the video"
        )
    return [
        judge(truth, [each for each in episodes if each.camera == name], name=name, min_seconds=min_seconds)
        for name, truth in truths.items()
    ]


def _judge_videos(folder: Path, settings: "RunConfig", min_seconds: float) -> "tuple[list[Judgement], dict[str, Any]]":
    """Run the videos and judge each; also tell what ran, and how fast."""
    from edge_hoi.lab.evaluation.events import judge, predicted_episodes
    from edge_hoi.lab.evaluation.events.videos import watch
    from edge_hoi.pipeline.engines import engine_folder
    from edge_hoi.runtime import read_manifest

    truths = _truths_of(folder)
    manifest = read_manifest(engine_folder(settings.engine.path))
    total = sum(truth.video.duration_seconds for truth in truths.values())
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    judgements, frames, busy, before = [], 0, 0.0, 0.0
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("videos", total=total)

        def show(video: Path, seconds: float) -> None:
            bar.update(task, completed=before + seconds, description=video.name)

        for watched in watch(list(truths), settings, note=print_note, progress=show):
            truth, status = truths[watched.video], watched.status
            judgements.append(judge(truth, predicted_episodes(watched.events), name=watched.video.stem, min_seconds=min_seconds))
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
    return judgements, about


def _truths_of(folder: Path) -> "dict[Path, Truth]":
    from edge_hoi.lab.datasets.truth import SUFFIX, read_truth

    if not folder.is_dir():
        raise DatasetError(f"expected a folder of videos, found none at {folder}; check the path")
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise DatasetError(f"expected videos with their truth beside them (a.mp4, a{SUFFIX}) in {folder}, found no *{SUFFIX}")
    truths = {folder / truth.video.file: truth for truth in map(read_truth, paths)}
    missing = [video for video in truths if not video.is_file()]
    if missing:
        raise DatasetError(f"{missing[0]} is not there, of which a truth tells; put it beside it, or take the truth away")
    return truths


def _settings(config: Path | None, engine: str | None, vocabulary: str | None, device: str | None) -> "RunConfig":
    from edge_hoi.config import RunConfig, load_config

    settings = load_config(config) if config else RunConfig()
    chosen = {name: value for name, value in {"path": engine, "device": device}.items() if value}
    return settings.model_copy(
        update={"engine": settings.engine.model_copy(update=chosen), "vocabulary": vocabulary or settings.vocabulary}
    )
