"""`edge-hoi render`: images and videos of the rendered world, with ground truth."""

import os
from pathlib import Path
from typing import Annotated

import typer

from edge_hoi.cli.lab.results import progress_bar
from edge_hoi.cli.terminal import out
from edge_hoi.compat import StrEnum

app = typer.Typer(no_args_is_help=True, help="Render people and objects with ground truth: data without photographs.")


class Split(StrEnum):
    """Splits of the rendered world; none shares an image with another."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    HELD_OUT = "held_out"


OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Target folder; created if missing.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Rendering processes.")]
CORES = os.cpu_count() or 1


@app.command("images")
def images(
    output: OutputOption,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of images: the split's first.")],
    split: Annotated[Split, typer.Option("--split", help="Which split; held_out has compositions that no other has.")] = Split.TRAIN,
    from_videos: Annotated[
        float, typer.Option("--from-videos", min=0, max=1, help="Share of images that are frames of scripted videos: fuller scenes.")
    ] = 0.0,
    with_captions: Annotated[
        bool, typer.Option("--captions", help="Also write captioned crops into captioned/, for `pretrain clip`.")
    ] = False,
    workers: WorkersOption = CORES,
) -> None:
    """Render images with annotations, as a custom data set: `--dataset custom` of train and eval reads them.

    edge-hoi render images --split train --count 20000 --captions --output world/train

    edge-hoi render images --split test --count 2000 --output world/test
    """
    from edge_hoi.lab.synthetic.image_sets import write_images

    with progress_bar("images", total=count, is_counted=True) as update:
        write_images(
            output,
            split.value,
            count,
            from_videos=from_videos,
            with_captions=with_captions,
            workers=workers,
            progress=lambda done, _of: update(completed=done),
        )
    out.print(f"{output}: {count} images of the split {split}", soft_wrap=True)


@app.command("videos")
def videos(
    output: OutputOption,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of videos.")],
    seconds: Annotated[float, typer.Option("--seconds", min=5, help="Length of each video, in seconds.")] = 90.0,
    fps: Annotated[
        int | None, typer.Option("--fps", min=1, max=60, help="Frames a second; 5 to 30, chosen by the seed, if not given.")
    ] = None,
    first: Annotated[int, typer.Option("--first", min=0, help="Seed of the first video; the others follow.")] = 0,
    workers: WorkersOption = CORES,
) -> None:
    """Render scripted videos, each with its ground truth (NAME.truth.json): tracks and episodes.

    Some cameras shake, and some frames are missing. `edge-hoi eval events --videos` evaluates on them.

        edge-hoi render videos --count 20 --seconds 90 --output world/videos
    """
    from edge_hoi.lab.synthetic.rendered_video import render_videos

    seeds = range(first, first + count)
    with progress_bar("videos", total=count, is_counted=True) as update:
        render_videos(output, seeds, seconds=seconds, fps=fps, workers=workers, progress=lambda done, _of: update(completed=done))
    out.print(f"{output}: {count} videos of {seconds:g} s", soft_wrap=True)


@app.command("sheet")
def sheet(
    output: Annotated[Path, typer.Option("--output", "-o", help="The image to write (.png, .jpg).")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the scenes.")] = 0,
    columns: Annotated[int, typer.Option("--columns", min=1, help="Images in a row.")] = 6,
    width: Annotated[int, typer.Option("--width", min=200, help="Width of the sheet, in pixels.")] = 1800,
) -> None:
    """Render every activity once, with boxes and names, on one sheet.

    edge-hoi render sheet --output sheet.png
    """
    from edge_hoi.lab.synthetic.sheet import draw_sheet
    from edge_hoi.media import write_image

    write_image(output, draw_sheet(seed=seed, columns=columns, width=width))
    out.print(str(output), soft_wrap=True)


@app.command("demo")
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The video to write (.mp4); its ground truth is written beside it.")],
) -> None:
    """Render the video that is embedded in the package, and its ground truth.

    edge-hoi render demo --output demo.mp4
    """
    from edge_hoi.lab.synthetic.demo_story import demo_story
    from edge_hoi.lab.synthetic.rendered_video import render_video

    truth = render_video(demo_story(), output)
    out.print(f"{output}: {truth.video.duration_seconds:g} s, {len(truth.episodes)} episodes", soft_wrap=True)
