"""`edge-hoi render`: pictures and videos of a drawn world of which all is known."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from edge_hoi.cli.terminal import err, out
from edge_hoi.compat import StrEnum

app = typer.Typer(no_args_is_help=True, help="Draw a world of people and things, with all that is true of it: data without photographs.")


class Split(StrEnum):
    """Parts of the world that share no picture."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    HELD_OUT = "held_out"


OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The folder to write to; made if need be.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that draw.")]
CORES = os.cpu_count() or 1


@app.command("pictures")
def pictures(
    output: OutputOption,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many pictures: the split's first.")],
    split: Annotated[Split, typer.Option("--split", help="Which split; held_out shows compositions that no other has.")] = Split.TRAIN,
    from_videos: Annotated[
        float, typer.Option("--from-videos", min=0, max=1, help="Part of the pictures that are frames of scripted videos: fuller scenes.")
    ] = 0.0,
    with_captions: Annotated[
        bool, typer.Option("--captions", help="Also write captioned crops into captioned/, to pretrain a CLIP on.")
    ] = False,
    workers: WorkersOption = CORES,
) -> None:
    """Draw pictures with annotations, in the form of one's own data set: `--dataset custom` of train and eval reads them.

    edge-hoi render pictures --split train --count 20000 --captions --output world/train
    edge-hoi render pictures --split test --count 2000 --output world/test
    """
    from edge_hoi.lab.synthetic.picture_sets import write_pictures

    with _progress("pictures") as progress:
        write_pictures(
            output,
            split.value,
            count,
            from_videos=from_videos,
            with_captions=with_captions,
            workers=workers,
            progress=progress,
        )
    out.print(f"{output}: {count} pictures of the split {split}", soft_wrap=True, markup=False)


@app.command("videos")
def videos(
    output: OutputOption,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many videos.")],
    seconds: Annotated[float, typer.Option("--seconds", min=5, help="Length of each.")] = 90.0,
    fps: Annotated[int | None, typer.Option("--fps", min=1, max=60, help="Frames a second; 5 to 30, mixed, if not given.")] = None,
    first: Annotated[int, typer.Option("--first", min=0, help="Seed of the first video; the others follow.")] = 0,
    workers: WorkersOption = CORES,
) -> None:
    """Draw scripted videos, each with its NAME.truth.json: who is where, and what they do from when to when.

    Some are shaken, and some frames are missing. `edge-hoi eval events --videos` measures on them.

    edge-hoi render videos --count 20 --seconds 90 --output world/videos
    """
    from edge_hoi.lab.synthetic.rendered_video import render_videos

    with _progress("videos") as progress:
        render_videos(output, range(first, first + count), seconds=seconds, fps=fps, workers=workers, progress=progress)
    out.print(f"{output}: {count} videos of {seconds:g} s", soft_wrap=True, markup=False)


@app.command("sheet")
def sheet(
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write (.png, .jpg).")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which scenes.")] = 0,
    columns: Annotated[int, typer.Option("--columns", min=1, help="Pictures in a row.")] = 6,
    width: Annotated[int, typer.Option("--width", min=200, help="Width of the whole, in pixels.")] = 1800,
) -> None:
    """Draw every activity once, with boxes and names, on one sheet.

    edge-hoi render sheet --output sheet.png
    """
    from edge_hoi.lab.synthetic.sheet import draw_sheet
    from edge_hoi.media import write_picture

    write_picture(output, draw_sheet(seed=seed, columns=columns, width=width))
    out.print(str(output), soft_wrap=True, markup=False)


@app.command("demo")
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The video to write (.mp4); its truth comes beside it.")],
) -> None:
    """Draw the video that is embedded in the package, and its truth.

    edge-hoi render demo --output demo.mp4
    """
    from edge_hoi.lab.synthetic.demo_story import demo_story
    from edge_hoi.lab.synthetic.rendered_video import render_video

    truth = render_video(demo_story(), output)
    out.print(f"{output}: {truth.video.duration_seconds:g} s, {len(truth.episodes)} episodes", soft_wrap=True, markup=False)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
