"""`edge-hoi label`: ground truth for one's own video, from its events, by way of a file to correct."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import ConfigError
from edge_hoi.overwriting import refuse_overwriting

if TYPE_CHECKING:
    from edge_hoi.history import Record
    from edge_hoi.lab.datasets.truth import Truth


def label(
    video: Annotated[Path, typer.Argument(help="The video file.")],
    events: Annotated[
        Path | None, typer.Option("--events", help="Draft the labels from the events of a run over it: a file, an outbox, a folder.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Instead: read labels, as .yaml, .xml (CVAT), .json (COCO) or .truth.json.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write them, by the same suffixes. By default VIDEO.labels.yaml of events, else VIDEO.truth.json."
        ),
    ] = None,
    verbs: Annotated[list[str] | None, typer.Option("--verb", help="With --events. Only this verb; may be repeated.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="With --events. The video's name there, if it is another.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over an existing file.")] = False,
) -> None:
    """Make the ground truth of a video, which `tune` and `eval events` need: draft labels from events, correct them, convert them.

        edge-hoi label street.mp4 --events events.jsonl

        edge-hoi label street.mp4 --labels street.labels.yaml

    The first writes street.labels.yaml to correct with an editor, the second street.truth.json. With `--output street.xml` the first
    writes a file for CVAT instead; docs/labelling.md has more.
    """
    from edge_hoi.lab.datasets.truth import truth_path
    from edge_hoi.lab.labels import describe_video, form_of, read_labels, write_labels

    if (events is None) == (labels is None) or (labels is not None and (verbs or camera)):
        raise ConfigError("expected either --events, with --verb and --camera as wanted, or --labels; give one of both")
    path = output or (video.with_suffix(".labels.yaml") if events else truth_path(video))
    form_of(path)
    refuse_overwriting(
        [("--output", path)], [(name, each) for name, each in (("the video", video), ("an input", events or labels)) if each]
    )
    if path.exists() and not replace:
        raise ConfigError(f"{path} exists, and may have your corrections; choose another --output, or --replace it")
    about = describe_video(video, print_note)
    if labels:
        truth = read_labels(labels, about)
    else:
        from edge_hoi.history import read_records
        from edge_hoi.lab.labels import draft_truth

        assert events
        truth = draft_truth(about, map(_document, read_records([events], print_note)), camera=camera or video.stem, verbs=verbs or ())
    write_labels(truth, path)
    _report(truth, path)


def _document(record: "Record") -> dict[str, Any]:
    from edge_hoi.lab.datasets.files import as_mapping, parse_json, reading

    with reading(f"{record.file}, line {record.number}"):
        return dict(as_mapping(parse_json(record.body), "an event"))


def _report(truth: "Truth", path: Path) -> None:
    boxless = sum(not len(track.frames) for track in truth.tracks.values())
    rest = f", {boxless} of them without boxes" if boxless else ""
    out.print(f"{path}: {len(truth.episodes)} episodes, {len(truth.tracks)} people and objects{rest}", soft_wrap=True)
