"""`edge-hoi detect`: the interactions of an image, or of every frame of a video, as JSON."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from edge_hoi.cli.engine_fetching import OfflineOption, get_engine
from edge_hoi.cli.run import AllowDemoOption, BackendOption, DeviceOption, EngineOption, VocabularyOption
from edge_hoi.cli.sources import read_sources
from edge_hoi.cli.terminal import err, print_note, print_result
from edge_hoi.errors import ConfigError

if TYPE_CHECKING:
    from edge_hoi.ingest.source import SourceTally


def detect(
    source: Annotated[
        str, typer.Argument(metavar="IMAGE|VIDEO", callback=read_sources, help="Image, folder of images, video file or stream.")
    ],
    engine: EngineOption = None,
    vocabulary: VocabularyOption = None,
    annotate: Annotated[
        Path | None, typer.Option("--annotate", help="Write the image with its interactions drawn in (.png, .jpg), or a video (.mp4).")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=0, max=1, help="Drop interactions with a lower score; the engine's own where absent.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, max=1000, help="Most interactions of a frame.")] = 20,
    max_frames: Annotated[int | None, typer.Option("--max-frames", min=1, help="Stop after this many frames.")] = None,
    device: DeviceOption = None,
    backend: BackendOption = None,
    allow_demo_engine: AllowDemoOption = False,
    offline: OfflineOption = False,
    max_pixels: Annotated[
        int | None, typer.Option("--max-pixels", min=1, max=1 << 28, help="Read no larger images and frames; 8K where absent.")
    ] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option("--memory-limit", metavar="BYTES", help="Decode in a process of its own with at most this much memory, as 512MB."),
    ] = None,
) -> None:
    """Detect the interactions in an image, or in each frame of a video: one line of JSON a frame, best interaction first.

    Frames are processed one by one, without tracking; `edge-hoi run` follows people over time.

        edge-hoi detect photo.jpg --annotate seen.png
    """
    from edge_hoi.api.detector import Detector
    from edge_hoi.config import EngineConfig, parse_config
    from edge_hoi.ingest import IsolatedSource, Source, open_source
    from edge_hoi.ingest.url import is_local, local_path
    from edge_hoi.media import VideoWriter, write_image
    from edge_hoi.media import annotate as draw
    from edge_hoi.media.image_file import SUFFIXES
    from edge_hoi.overwriting import refuse_overwriting
    from edge_hoi.pipeline.engines import engine_folder, refuse_demo_engine
    from edge_hoi.runtime import read_manifest
    from edge_hoi.types import MAX_PIXELS

    if annotate is not None and is_local(source):
        refuse_overwriting([("--annotate", annotate)], [("the source", local_path(source))])
    opener: Callable[..., Source] = open_source
    if memory_limit is not None:
        limit = parse_config({"sources": [{"url": source, "memory_limit": memory_limit}]}, origin="command line").sources[0].memory_limit
        assert limit is not None
        opener = partial(IsolatedSource, memory_limit=limit)
    with ExitStack() as cleanup:
        opened = cleanup.enter_context(opener(source, source_id="detect", max_pixels=max_pixels or MAX_PIXELS))
        chosen = get_engine(EngineConfig(path=engine, offline=offline, allow_demo=allow_demo_engine), [source])
        if opened.info.is_live and not allow_demo_engine:
            refuse_demo_engine(read_manifest(engine_folder(chosen), verify=False), opened.info.masked_url)
        detector = cleanup.enter_context(
            Detector(chosen, vocabulary=vocabulary, device=device or "auto", backend=backend, threshold=threshold, max_interactions=top)
        )
        count = max_frames or opened.info.frame_count
        if annotate is not None:
            _check_annotated(annotate, opened.info.masked_url, count)
        progress = cleanup.enter_context(Progress(console=err, transient=True, disable=not err.is_terminal or count == 1))
        task = progress.add_task("frames", total=count)
        writer: VideoWriter | None = None
        for number, frame in enumerate(opened, start=1):
            interactions = detector(frame.image)
            described = {"frame": frame.index, "pts_seconds": round(frame.pts_seconds, 6), "width": frame.width, "height": frame.height}
            print_result(json.dumps(described | interactions.to_dict()))
            if annotate is not None:
                image = draw(frame, interactions)
                if annotate.suffix.lower() in SUFFIXES:
                    write_image(annotate, image)
                else:
                    if writer is None:
                        writer = cleanup.enter_context(VideoWriter(annotate, image.shape[1], image.shape[0], opened.info.fps or 25.0))
                    writer.write(image, frame.pts_seconds)
            progress.advance(task)
            if number == max_frames:
                break
        _note_faults(opened.info.masked_url, opened.tally)


def _check_annotated(path: Path, name: str, count: int | None) -> None:
    from edge_hoi.media import check_video_path
    from edge_hoi.media.image_file import SUFFIXES

    if path.suffix.lower() not in SUFFIXES:
        check_video_path(path)
    elif count != 1:
        raise ConfigError(f"--annotate {path} holds one image, and {name} has several; name a video (.mp4), or --max-frames 1")


def _note_faults(name: str, tally: "SourceTally") -> None:
    if tally.decode_errors or tally.frames_corrupt or tally.is_truncated:
        faults = f"{tally.decode_errors} unreadable, {tally.frames_corrupt} corrupt" + (", truncated" if tally.is_truncated else "")
        print_note(f"{name}: not read in full ({faults})")
