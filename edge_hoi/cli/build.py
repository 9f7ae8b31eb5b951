"""`edge-hoi build`: from a checkpoint to an engine's folder."""

import importlib.util
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_hoi.cli.terminal import err, out
from edge_hoi.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from edge_hoi.model import Checkpoint
    from edge_hoi.vocabulary import Vocabulary

UNTRAINED = "untrained:"
JUDGED_FRAMES = 48
"""Frames that the accuracy gate looks at."""

_NEEDED = ("torch", "torchvision", "open_clip", "onnx", "onnxscript", "onnxruntime", "tokenizers")


def build(
    model: Annotated[
        str,
        typer.Argument(
            help="Checkpoint: edge-hoi's .safetensors or a published HOICLIP .pth; untrained:tiny or untrained:r50-vitb32 to try things."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The engine's folder, such as engines/mine; an engine there is replaced.")],
    size: Annotated[
        str, typer.Option("--size", help="Nominal HEIGHTxWIDTH in pixels, multiples of 32; other shapes of like area work as well.")
    ] = "384x672",
    backend: Annotated[Literal["openvino", "onnxruntime", "torch"], typer.Option("--backend", help="What is to run it.")] = "openvino",
    precision: Annotated[
        Literal["fp32", "int8"], typer.Option("--precision", help="Of its arithmetic; int8 needs --calibration.")
    ] = "fp32",
    calibration: Annotated[
        list[str] | None,
        typer.Option("--calibration", help="Video, folder of pictures or camera of the kind that int8 will see; may be given again."),
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames to calibrate on, chosen to differ from each other.")] = 512,
    method: Annotated[
        Literal["minmax", "percentile"], typer.Option("--method", help="How int8's ranges follow from what the frames show.")
    ] = "minmax",
    keep_float: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-float", help="Layers that int8 leaves in float, such as '*_box_head*' (these where absent); may be given again."
        ),
    ] = None,
    vocabulary: Annotated[
        Literal["hico_det", "vcoco"], typer.Option("--vocabulary", help="Of an untrained model; a checkpoint brings its own.")
    ] = "hico_det",
    with_text_tower: Annotated[
        bool, typer.Option("--text-tower/--no-text-tower", help="Carry CLIP's text tower, so that vocabularies can be edited on the box.")
    ] = True,
    half_text_tower: Annotated[bool, typer.Option("--half-text-tower", help="Store the text tower in fp16, at half the size.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="The engine's name; the folder's where absent.")] = None,
    caution: Annotated[
        str | None, typer.Option("--caution", help="What a person must know before believing it; every run with this engine says so.")
    ] = None,
) -> None:
    """Export a model, hold the result against PyTorch, and write it as an engine.

    The folder is written whole or not at all. Needs the extra [build].

        edge-hoi build hoiclip.pth --output engines/hoiclip --size 384x672
        edge-hoi build hoiclip.pth --output engines/quick --precision int8 --calibration street.mp4
    """
    refuse_without_extra("building")
    if bool(calibration) != (precision == "int8"):
        raise ConfigError("--calibration and --precision int8 go together: name a video or a folder of pictures like those it will see")
    from edge_hoi.export import KEEP_FLOAT, Quantisation, build_engine, collect_frames, describe_input
    from edge_hoi.pipeline import demo_clip

    input_size = _parse_size(size)
    started = time.monotonic()

    def step(text: str) -> None:
        err.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {text}")

    step(f"reading {model}")
    checkpoint, its_vocabulary = _open_checkpoint(model, vocabulary)
    quantisation = None
    if precision == "int8":
        step(f"choosing up to {frames} calibration frames")
        described = describe_input(checkpoint, input_size)
        # Judged on the clip that comes along too, so that frames which show nothing are not left to judge themselves.
        sources = [*(calibration or []), str(demo_clip())]
        chosen, judged = collect_frames(sources[:-1], frames, described), collect_frames(sources, JUDGED_FRAMES, described)
        quantisation = Quantisation(chosen, judged, method, tuple(keep_float or KEEP_FLOAT))
    is_trained = not model.startswith(UNTRAINED)
    manifest = build_engine(
        checkpoint,
        its_vocabulary,
        output,
        name=name or output.resolve().name,
        description=f"HOICLIP from {Path(model).name if is_trained else 'made-up weights: it runs, and what it reports means nothing'}",
        is_trained=is_trained,
        caution=caution,
        backend=backend,
        quantisation=quantisation,
        input_size=input_size,
        with_text_tower=with_text_tower,
        half_text_tower=half_text_tower,
        progress=step,
    )
    step("done")
    megabytes = sum((output / path).stat().st_size for path in manifest.files) / 1e6
    out.print(f"{output}: {manifest.backend}, {manifest.precision}, {size}, {megabytes:.1f} MB; try it with", soft_wrap=True)
    out.print(f"    edge-hoi run --engine {output}", soft_wrap=True, markup=False)


def refuse_without_extra(doing: str) -> None:
    """Say how to install what is missing.

    Args:
        doing: What needs it.

    Raises:
        MissingDependencyError: A package of the extra [build] is missing.
    """
    missing = [package for package in _NEEDED if not importlib.util.find_spec(package)]
    if missing:
        raise MissingDependencyError(f"{doing} needs {', '.join(missing)}; pip install 'edge-hoi[build]'")


def _open_checkpoint(model: str, vocabulary: str) -> "tuple[Checkpoint, Vocabulary]":
    from edge_hoi.model import VARIANTS, load_checkpoint
    from edge_hoi.model.checkpoint_vocabulary import vocabulary_of
    from edge_hoi.model.reference_weights import untrained_checkpoint
    from edge_hoi.vocabulary import load_vocabulary

    if not model.startswith(UNTRAINED):
        checkpoint = load_checkpoint(Path(model))
        return checkpoint, vocabulary_of(checkpoint, Path(model))
    variant = model.removeprefix(UNTRAINED)
    if variant not in VARIANTS:
        raise ConfigError(f"no model variant {variant!r}; known are {', '.join(VARIANTS)}")
    published = load_vocabulary(vocabulary)
    return untrained_checkpoint(VARIANTS[variant], published), published


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if not match:
        raise ConfigError(f"--size is HEIGHTxWIDTH in pixels, such as 384x672; got {text!r}")
    return int(match[1]), int(match[2])
