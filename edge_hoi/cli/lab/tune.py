"""`edge-hoi tune`: thresholds for an engine from videos with ground truth."""

from pathlib import Path
from typing import Annotated

import typer

from edge_hoi.cli.lab.eval_events import choose_settings, truths_of
from edge_hoi.cli.lab.results import check_outputs, progress_bar
from edge_hoi.cli.run import DeviceOption, VocabularyOption
from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import ConfigError


def tune(
    videos: Annotated[Path, typer.Option("--videos", help="Folder of videos, each with its ground truth (NAME.truth.json).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the thresholds to this YAML file.")],
    engine: Annotated[str | None, typer.Option("--engine", help="An engine by name, or a folder with a manifest.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Configuration; its sources and sinks are ignored.")] = None,
    vocabulary: VocabularyOption = None,
    device: DeviceOption = None,
    precision: Annotated[
        float | None, typer.Option("--precision", min=0, max=1, help="Wanted precision of every interaction; best F1 where absent.")
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Parts of the cross-validation; at most as many as videos.")] = 4,
    min_seconds: Annotated[float, typer.Option("--min-seconds", min=0, help="Shorter ground-truth episodes are ignored.")] = 1.0,
    plot: Annotated[Path | None, typer.Option("--plot", help="Plot precision and recall against the threshold (.png, .svg, .pdf).")] = None,
) -> None:
    """Choose `enter` and `leave` for each interaction from videos with ground truth.

    The thresholds have the best event F1, or the wanted precision, on all the videos; what to expect of them on others is measured by
    cross-validation. Use the file as a configuration, or with `edge-hoi build --thresholds`.

        edge-hoi tune --videos labelled --engine photo --output thresholds.yaml --plot thresholds.png
    """
    import yaml

    from edge_hoi.lab.evaluation.events import tuning

    check_outputs(output, plot, [videos, config])
    truths = truths_of(videos)
    if len(truths) < folds:
        raise ConfigError(f"{folds} folds need as many videos, found {len(truths)} with ground truth in {videos}; add some, or set --folds")
    total, before = sum(truth.video.duration_seconds for truth in truths.values()), dict.fromkeys(truths, 0.0)
    with progress_bar("videos", total=total) as update:

        def show(video: Path, seconds: float) -> None:
            before[video] = seconds
            update(completed=sum(before.values()), description=video.name)

        scored = tuning.try_thresholds(
            truths,
            choose_settings(config, engine, vocabulary, device),
            tuning.THRESHOLDS,
            min_seconds=min_seconds,
            note=print_note,
            progress=show,
        )
    tried = [video[1:] for video in scored]
    tables = [tuning.count(each) for each in zip(*tried, strict=True)]
    chosen = tuning.choose_thresholds(tables, min_precision=precision)
    rows = (
        ("as configured", sum(tuning.count(video[0] for video in scored).values(), tuning.Counts())),
        ("chosen, on the same videos", chosen.count(tables)),
        ("chosen, cross-validated", tuning.cross_validate(tried, folds=folds, min_precision=precision)),
    )
    for name, each in rows:
        out.print(f"{name:27} F1 {each.f1:.3f}, precision {each.precision:.3f}, recall {each.recall:.3f}")
    form = {"episodes": chosen.to_settings(tuning.THRESHOLDS)}
    output.write_text(f"# Chosen by `edge-hoi tune` on {len(truths)} videos.\n" + yaml.safe_dump(form, sort_keys=False), encoding="utf-8")
    if plot:
        tuning.plot_thresholds(tables, tuning.THRESHOLDS, chosen, plot)
