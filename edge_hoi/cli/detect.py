"""`edge-hoi detect`: the interactions of a picture, or of every frame of a video, as JSON."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import Progress

from edge_hoi.cli.run import DeviceOption, EngineOption, VocabularyOption
from edge_hoi.cli.terminal import err, print_note
from edge_hoi.types import NO_OBJECT, Frame, Interactions
from edge_hoi.vocabulary import NO_INTERACTION, Vocabulary


def detect(
    source: Annotated[str, typer.Argument(metavar="PICTURE|VIDEO", help="Picture, folder of pictures, video file or stream.")],
    engine: EngineOption = None,
    vocabulary: VocabularyOption = None,
    annotate: Annotated[
        Path | None, typer.Option("--annotate", help="Write the picture with what was seen drawn in (.png, .jpg), or a video (.mp4).")
    ] = None,
    threshold: Annotated[float, typer.Option("--threshold", min=0, max=1, help="Leave out interactions with a lower score.")] = 0.2,
    top: Annotated[int, typer.Option("--top", min=1, max=1000, help="Most interactions of a frame.")] = 20,
    max_frames: Annotated[int | None, typer.Option("--max-frames", min=1, help="Stop after this many frames.")] = None,
    device: DeviceOption = None,
) -> None:
    """Find the interactions in a picture, or in each frame of a video: one line of JSON a frame, best interaction first.

    Frames are looked at one by one, without tracking; `edge-hoi run` follows people over time.

        edge-hoi detect photo.jpg --annotate seen.png
    """
    from edge_hoi.config import parse_config
    from edge_hoi.ingest import open_source
    from edge_hoi.media import VideoWriter, annotate_picture, write_picture
    from edge_hoi.pipeline import open_detectors

    chosen = {name: value for name, value in {"path": engine, "device": device}.items() if value}
    detection = {"score_threshold": threshold, "max_interactions": top}
    settings = parse_config({"engine": chosen, "vocabulary": vocabulary, "detection": detection}, origin="command line")
    with ExitStack() as cleanup:
        opened = cleanup.enter_context(open_source(source, source_id="detect"))
        detectors = open_detectors(settings, note=print_note)
        cleanup.callback(detectors.close)
        # Counted only where more than one frame is to come.
        count = max_frames or opened.info.frame_count
        progress = cleanup.enter_context(Progress(console=err, transient=True, disable=not err.is_terminal or count == 1))
        task = progress.add_task("frames", total=count)
        writer: VideoWriter | None = None
        for number, frame in enumerate(opened, start=1):
            (interactions,) = detectors.detector_for(frame).detect([frame])
            print(json.dumps(_describe(frame, interactions, detectors.vocabulary)))  # noqa: T201 — it is the command's output
            if annotate is not None:
                image = annotate_picture(frame.image, interactions, detectors.vocabulary)
                if annotate.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".bmp"):
                    write_picture(annotate, image)
                else:
                    if writer is None:
                        writer = cleanup.enter_context(VideoWriter(annotate, image.shape[1], image.shape[0], opened.info.fps or 25.0))
                    writer.write(image, frame.pts_seconds)
            progress.advance(task)
            if number == max_frames:
                break


def _describe(frame: Frame, interactions: Interactions, vocabulary: Vocabulary) -> dict[str, Any]:
    """Put a frame's interactions into a form for JSON; boxes are xyxy in pixels."""
    return {
        "frame": frame.index,
        "pts_seconds": round(frame.pts_seconds, 6),
        "width": frame.width,
        "height": frame.height,
        "interactions": [_describe_row(interactions, row, vocabulary) for row in range(len(interactions))],
    }


def _describe_row(interactions: Interactions, row: int, vocabulary: Vocabulary) -> dict[str, Any]:
    hoi_id, object_id = int(interactions.hoi_ids[row]), int(interactions.object_ids[row])
    hoi = vocabulary.hois[hoi_id]
    verb = vocabulary.verbs[hoi.verb_id]
    has_object = object_id != NO_OBJECT
    return {
        "text": hoi.text,
        "verb": verb,
        "is_interaction": verb != NO_INTERACTION,
        "object": vocabulary.objects[object_id] if has_object else None,
        "hoi_id": hoi_id,
        "score": round(float(interactions.scores[row]), 4),
        "human_box": _round(interactions.human_boxes[row]),
        "object_box": _round(interactions.object_boxes[row]) if has_object else None,
    }


def _round(box: "np.ndarray[Any, Any]") -> list[float]:
    return [round(float(edge), 1) for edge in box]
