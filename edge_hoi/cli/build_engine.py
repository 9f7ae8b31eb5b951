"""`edge-hoi build`: from a checkpoint to an engine's folder."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.table import Table

from edge_hoi.cli.precision import Precision, PrecisionChoice
from edge_hoi.cli.terminal import err, out
from edge_hoi.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from edge_hoi.events import EpisodeSettings
    from edge_hoi.model import Checkpoint
    from edge_hoi.runtime import Manifest
    from edge_hoi.runtime.manifest_sections import WeightBits
    from edge_hoi.vocabulary import Vocabulary

UNTRAINED = "untrained:"
_NEEDED = ("torch", "torchvision", "open_clip", "onnx", "onnxscript", "onnxruntime", "tokenizers")

SizeOption = Annotated[
    str, typer.Option("--size", help="Nominal HEIGHTxWIDTH in pixels, multiples of 32; other shapes of like area work as well.")
]
UntrainedVocabularyOption = Annotated[
    Literal["hico_det", "vcoco"], typer.Option("--vocabulary", help="Of an untrained model; a checkpoint brings its own.")
]


def build(
    model: Annotated[
        str,
        typer.Argument(
            help="Checkpoint: edge-hoi's .safetensors or a published HOICLIP .pth; untrained:tiny or untrained:r50-vitb32 to try things."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The engine's folder, such as engines/mine; an engine there is replaced.")],
    size: SizeOption = "384x672",
    backend: Annotated[
        Literal["openvino", "onnxruntime", "tensorrt", "tensorrt-rtx", "torch-tensorrt", "torch"],
        typer.Option("--backend", help="What is to run it."),
    ] = "openvino",
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            "--compute-capability", help="Of the GPUs that tensorrt-rtx compiles for, such as 8.6; that of the GPU here where absent."
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, max=64, help="Most pictures in one run that the backends of TensorRT compile for.")
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option("--precision", help="Of its arithmetic; auto keeps the fastest that the accuracy gate lets through on this device."),
    ] = "fp32",
    calibration: Annotated[
        list[str] | None,
        typer.Option(
            "--calibration",
            help="For int8: video, folder of pictures or camera of the kind that it will see; or a folder of `edge-hoi calibrate`.",
        ),
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Frames to calibrate on, chosen to differ from each other.")] = 512,
    method: Annotated[
        Literal["minmax", "percentile", "entropy"], typer.Option("--method", help="How int8's ranges follow from what the frames show.")
    ] = "percentile",
    keep_float: Annotated[
        list[str] | None,
        typer.Option("--keep-float", help="Layers that int8 leaves in float, such as '*_box_head*'; those found right where absent."),
    ] = None,
    weight_bits: Annotated[
        int | None,
        typer.Option(
            "--weight-bits",
            min=7,
            max=8,
            help="Of int8 on CPUs: 7 for x86 ones without VNNI, on which 8 overflow; 8 is more exact elsewhere. Where absent, this CPU's.",
        ),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", help="Sources to hold the engine against fp32 on, beside --calibration and the clip that comes along."),
    ] = None,
    vocabulary: UntrainedVocabularyOption = "hico_det",
    with_text_tower: Annotated[
        bool, typer.Option("--text-tower/--no-text-tower", help="Carry CLIP's text tower, so that vocabularies can be edited on the box.")
    ] = True,
    half_text_tower: Annotated[bool, typer.Option("--half-text-tower", help="Store the text tower in fp16, at half the size.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="The engine's name; the folder's where absent.")] = None,
    caution: Annotated[
        str | None, typer.Option("--caution", help="What a person must know before believing it; every run with this engine says so.")
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(
            "--thresholds",
            help="ENTER,LEAVE: scores that start an episode and keep it up, for runs whose configuration has none; or a YAML file with "
            "`episodes: {enter: …, leave: …, verbs: {VERB: {…}}}`.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even if the folder's engine was built from the same.")] = False,
) -> None:
    """Export a model, hold the result against PyTorch, and write it as an engine.

    The folder is written whole or not at all. Needs `pip install '.[build]'` in a checkout of edge-hoi.

        edge-hoi build hoiclip.pth --output engines/hoiclip --size 384x672
        edge-hoi build hoiclip.pth --output engines/quick --precision auto --calibration street.mp4
        edge-hoi build hoiclip.pth --output engines/gpu --precision fp16 --backend tensorrt-rtx --compute-capability 8.6
    """
    require_build_extra("building")
    choice = PrecisionChoice(
        precision, calibration or (), judge or (), frames, method, keep_float or (), backend, cast("WeightBits | None", weight_bits)
    )
    choice.check()
    from edge_hoi.config import cache_folder
    from edge_hoi.export import PlanTarget, build_engine, build_fastest
    from edge_hoi.runtime.open import PLAN_BACKENDS

    input_size = parse_size(size)
    started = time.monotonic()

    def step(text: str) -> None:
        err.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {text}")

    step(f"reading {model}")
    checkpoint, its_vocabulary = open_model(model, vocabulary)
    is_compiled = backend in PLAN_BACKENDS or compute_capability or batch
    target = PlanTarget(tuple(compute_capability or ()), batch or 1, cache_folder() / "plans") if is_compiled else None
    reductions = choice.reductions(checkpoint, input_size, step)
    is_trained = not model.startswith(UNTRAINED)
    options: dict[str, Any] = {
        "name": name or output.resolve().name,
        "description": f"HOICLIP from {Path(model).name if is_trained else 'made-up weights: it runs, and what it reports means nothing'}",
        "is_trained": is_trained,
        "caution": caution,
        "episodes": parse_thresholds(thresholds) if thresholds else None,
        "backend": backend,
        "input_size": input_size,
        "with_text_tower": with_text_tower,
        "half_text_tower": half_text_tower,
        "target": target,
        "progress": step,
    }
    if precision == "auto":
        manifest = build_fastest(checkpoint, its_vocabulary, output, reductions=reductions, **options)
        out.print(_decision_table(manifest))
    else:
        reduction = reductions[0] if reductions else None
        manifest = build_engine(checkpoint, its_vocabulary, output, reduction=reduction, is_forced=force, **options)
    step("done")
    megabytes = sum((output / path).stat().st_size for path in manifest.files) / 1e6
    out.print(f"{output}: {manifest.backend}, {manifest.precision}, {size}, {megabytes:.1f} MB; try it with", soft_wrap=True)
    out.print(f"    edge-hoi run --engine {output}", soft_wrap=True, markup=False)


def parse_thresholds(text: str) -> "EpisodeSettings":
    """Read `ENTER,LEAVE`, or the `episodes` of a configuration.

    Args:
        text: Two numbers in (0, 1], or the path of a YAML file.

    Raises:
        ConfigError: It is written otherwise, or leave is above enter.
    """
    from edge_hoi.config import load_config
    from edge_hoi.events import EpisodeSettings

    if Path(text).suffix in (".yaml", ".yml"):
        episodes = load_config(Path(text)).episodes
        if not {"enter", "leave"} <= episodes.model_fields_set:
            raise ConfigError(f"{text}: an engine's thresholds need `enter` and `leave` under `episodes`")
        return episodes
    try:
        enter, leave = map(float, text.split(","))
        return EpisodeSettings(enter=enter, leave=leave)
    except ValueError as error:
        raise ConfigError(
            f"--thresholds is ENTER,LEAVE, two numbers in (0, 1], the second not above the first, or a configuration; got {text!r}"
        ) from error


def require_build_extra(doing: str) -> None:
    """Say how to install what is missing.

    Args:
        doing: What needs it.

    Raises:
        MissingDependencyError: A package of the extra [build] is missing.
    """
    MissingDependencyError.unless_installed(doing, _NEEDED, "build")


def _decision_table(manifest: "Manifest") -> Table:
    assert manifest.decision is not None
    table = Table("precision", "ms a frame", "", title=f"what was chosen from, on {manifest.decision.device}")
    for candidate in manifest.decision.candidates:
        time_taken = "-" if candidate.milliseconds is None else f"{candidate.milliseconds:.2f}"
        table.add_row(candidate.precision, time_taken, "chosen" if candidate.precision == manifest.precision else candidate.refused or "")
    return table


def open_model(model: str, vocabulary: str) -> "tuple[Checkpoint, Vocabulary]":
    """Read a checkpoint, or make up an untrained one.

    Args:
        model: A checkpoint's path, or `untrained:VARIANT`.
        vocabulary: Of an untrained one.

    Returns:
        The checkpoint and its vocabulary.

    Raises:
        ConfigError: There is no such variant.
        CheckpointError: The checkpoint cannot be used.
    """
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


def parse_size(text: str) -> tuple[int, int]:
    """Read HEIGHTxWIDTH.

    Args:
        text: Such as `384x672`.

    Raises:
        ConfigError: It is none.
    """
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if not match:
        raise ConfigError(f"--size is HEIGHTxWIDTH in pixels, such as 384x672; got {text!r}")
    return int(match[1]), int(match[2])
