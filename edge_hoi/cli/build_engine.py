"""`edge-hoi build`: build an engine's folder from a checkpoint, or from a detector and a head."""

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.table import Table
from rich.text import Text

from edge_hoi.cli.build_photo import build_photo
from edge_hoi.cli.precision import Precision, PrecisionChoice
from edge_hoi.cli.run import DeviceName
from edge_hoi.cli.sources import read_sources
from edge_hoi.cli.terminal import err, out
from edge_hoi.errors import ConfigError, MissingDependencyError
from edge_hoi.regular_file import read_regular

if TYPE_CHECKING:
    from edge_hoi.events import EpisodeSettings
    from edge_hoi.export import PlanTarget
    from edge_hoi.model import Checkpoint
    from edge_hoi.runtime import Manifest
    from edge_hoi.runtime.manifest_sections import WeightBits
    from edge_hoi.vocabulary import Vocabulary

UNTRAINED = "untrained:"
_MAX_EVALUATION_BYTES = 1 << 24
_NEEDED = ("torch", "torchvision", "open_clip", "onnx", "onnxscript", "onnxruntime", "tokenizers")

SizeOption = Annotated[
    str,
    typer.Option(
        "--size",
        help="Nominal HEIGHTxWIDTH in pixels, multiples of 32; sources with another aspect ratio get another size of about the same area.",
    ),
]
UntrainedVocabularyOption = Annotated[
    Literal["hico_det", "vcoco"], typer.Option("--vocabulary", help="Vocabulary of an untrained model; a checkpoint has its own.")
]


def build(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The engine's folder, such as engines/mine; an existing engine is replaced.")
    ],
    model: Annotated[
        str | None,
        typer.Argument(
            help="Checkpoint: edge-hoi's .safetensors or a published HOICLIP .pth; untrained:tiny or untrained:r50-vitb32 for tests."
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option("--detector", help="Instead of a checkpoint: ONNX file of a DETR-type detector, for a two-stage engine."),
    ] = None,
    head: Annotated[
        Path | None,
        typer.Option("--head", help="With --detector: head of `edge-hoi train pairs`, or its exported folder; default: this package's."),
    ] = None,
    size: SizeOption = "384x672",
    image_type: Annotated[
        Literal["float32", "uint8"],
        typer.Option(
            "--input",
            help="What the network takes: float32: images that the CPU normalises; uint8: pixels, which it normalises itself, so that a "
            "GPU gets a quarter of the bytes or less.",
        ),
    ] = "float32",
    backend: Annotated[
        Literal["openvino", "onnxruntime", "tensorrt", "tensorrt-rtx", "torch-tensorrt", "torch"],
        typer.Option("--backend", help="Inference backend of the engine."),
    ] = "openvino",
    device: Annotated[
        DeviceName,
        typer.Option(
            "--device",
            help="Where the accuracy gate and --precision auto run the engine: auto: the CPU, or the GPU of TensorRT's backends.",
        ),
    ] = "auto",
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            "--compute-capability", help="Target GPUs of tensorrt-rtx, such as 8.6; default: this machine's GPU. May be repeated."
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, max=64, help="Largest batch that TensorRT backends compile for.")] = None,
    precision: Annotated[
        Precision,
        typer.Option("--precision", help="Numeric precision; auto keeps the fastest on this device that passes the accuracy gate."),
    ] = "fp32",
    calibration: Annotated[
        list[str] | None,
        typer.Option(
            "--calibration",
            help="For int8: video, folder of images or camera like those of the engine's use; or a folder of `edge-hoi calibrate`.",
        ),
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Number of calibration frames, chosen to differ from each other.")] = 512,
    method: Annotated[
        Literal["minmax", "percentile", "entropy"], typer.Option("--method", help="How int8 ranges are chosen from the calibration frames.")
    ] = "percentile",
    keep_float: Annotated[
        list[str] | None,
        typer.Option("--keep-float", help="Layers that int8 leaves in float, such as '*_box_head*'; default: chosen by accuracy."),
    ] = None,
    weight_bits: Annotated[
        int | None,
        typer.Option(
            "--weight-bits",
            min=7,
            max=8,
            help="Bits of int8 weights: 7 for x86 CPUs without VNNI, whose INT8 accumulators saturate with 8; default: for this CPU.",
        ),
    ] = None,
    gate_source: Annotated[
        list[str] | None,
        typer.Option(
            "--gate-source", callback=read_sources, help="More sources for the accuracy gate, beside --calibration and the embedded clip."
        ),
    ] = None,
    vocabulary: UntrainedVocabularyOption = "hico_det",
    with_text_tower: Annotated[
        bool,
        typer.Option(
            "--text-tower/--no-text-tower", help="Include CLIP's text tower, so that vocabularies can be changed without PyTorch."
        ),
    ] = True,
    half_text_tower: Annotated[bool, typer.Option("--half-text-tower", help="Store the text tower in fp16, at half the size.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="The engine's name; default: the folder's.")] = None,
    caution: Annotated[str | None, typer.Option("--caution", help="Warning to users of this engine; every run prints it.")] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            "--evaluation",
            help="Results of `edge-hoi eval hoi --output` of this checkpoint on real images: they replace the caution that it inherited "
            "from a demonstration model.",
        ),
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(
            "--thresholds",
            help="ENTER,LEAVE: scores that start and continue an episode, for runs whose configuration has none; or a YAML file with "
            "`episodes: {enter: …, leave: …, verbs: {VERB: {…}}}`.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even if the existing engine is up to date.")] = False,
) -> None:
    """Export a model, compare the result with PyTorch, and write it as an engine.

    The folder is replaced only if the build succeeds. Needs `pip install '.[build]'` in a checkout of edge-hoi; a two-stage engine in fp32
    does not.

        edge-hoi build hoiclip.pth --output engines/hoiclip --size 384x672
        edge-hoi build hoiclip.pth --output engines/quick --precision auto --calibration street.mp4
        edge-hoi build hoiclip.pth --output engines/gpu --precision fp16 --backend tensorrt-rtx --compute-capability 8.6
        edge-hoi build --detector deimv2.onnx --output engines/photo
    """
    if (model is None) == (detector is None) or (head and not detector):
        raise ConfigError("build expects either a checkpoint or --detector, and --head with --detector only")
    choice = PrecisionChoice(
        precision,
        calibration or (),
        gate_source or (),
        frames,
        method,
        keep_float or (),
        backend,
        cast("WeightBits | None", weight_bits),
        device,
    )
    choice.check()
    step = step_printer()
    episodes = parse_thresholds(thresholds) if thresholds else None
    name = name or output.resolve().name
    if detector:
        target = _plan_target(backend, compute_capability, batch)
        _print_built(
            output,
            build_photo(
                detector, head, output, choice, step, name=name, episodes=episodes, image_type=image_type, target=target, is_forced=force
            ),
        )
        return
    assert model is not None
    require_build_extra("building")
    from edge_hoi.export import build_engine, build_fastest, describe_input, weights_sha256

    input_size = parse_size(size)
    step(f"reading {model}")
    checkpoint, its_vocabulary = open_model(model, vocabulary)
    reductions = choice.reductions(describe_input(checkpoint, input_size), lambda: weights_sha256(checkpoint), step)
    is_trained = not model.startswith(UNTRAINED)
    inherited = inherited_caution(checkpoint, evaluation)
    options: dict[str, Any] = {
        "name": name,
        "description": f"HOICLIP from {Path(model).name if is_trained else 'random weights: its output is meaningless'}",
        "is_trained": is_trained,
        "caution": caution or inherited,
        "is_demo": inherited is not None,
        "episodes": episodes,
        "backend": backend,
        "input_size": input_size,
        "image_type": image_type,
        "with_text_tower": with_text_tower,
        "half_text_tower": half_text_tower,
        "target": _plan_target(backend, compute_capability, batch),
        "progress": step,
    }
    if precision == "auto":
        manifest = build_fastest(checkpoint, its_vocabulary, output, reductions=reductions, **options)
        out.print(_decision_table(manifest))
    else:
        reduction = reductions[0] if reductions else None
        manifest = build_engine(checkpoint, its_vocabulary, output, reduction=reduction, is_forced=force, **options)
    step("done")
    _print_built(output, manifest)


def step_printer() -> Callable[[str], None]:
    """Return a function that prints a step of a command with the seconds since its start."""
    started = time.monotonic()
    return lambda text: err.print(Text.assemble((f"{time.monotonic() - started:6.1f} s", "dim"), f"  {text}"))


def _plan_target(backend: str, compute_capability: Sequence[str] | None, batch: int | None) -> "PlanTarget | None":
    from edge_hoi.runtime.open import PLAN_BACKENDS

    if backend not in PLAN_BACKENDS and not compute_capability and not batch:
        return None
    from edge_hoi.config import cache_folder
    from edge_hoi.export import PlanTarget

    return PlanTarget(tuple(compute_capability or ()), batch or 1, cache_folder() / "plans")


def _print_built(output: Path, manifest: "Manifest") -> None:
    from edge_hoi.runtime.open import PLAN_BACKENDS

    megabytes = sum((output / path).stat().st_size for path in manifest.files) / 1e6
    size = f"{manifest.input.height}x{manifest.input.width}"
    out.print(f"{output}: {manifest.backend}, {manifest.precision}, {size}, {megabytes:.1f} MB; try it with", soft_wrap=True)
    named = f" --backend {manifest.backend}" if manifest.backend in PLAN_BACKENDS else ""  # which a folder may not choose
    out.print(f"    edge-hoi run --engine {output}{named}", soft_wrap=True)


def inherited_caution(checkpoint: "Checkpoint", evaluation: Path | None) -> str | None:
    """Return the caution of the demonstration model that a checkpoint was trained from; None if it has its own evaluation, or needs none.

    Raises:
        ConfigError: The evaluation cannot be read, or is of other weights.
    """
    from edge_hoi.export import weights_sha256

    if evaluation is None:
        return checkpoint.caution
    try:
        evaluated = json.loads(read_regular(evaluation, _MAX_EVALUATION_BYTES))["engine"]["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{evaluation}: expected results of `edge-hoi eval hoi --output` ({error!r})") from error
    if evaluated != weights_sha256(checkpoint):
        raise ConfigError(f"{evaluation} is an evaluation of other weights; run `edge-hoi eval hoi --engine CHECKPOINT` with this one")
    return None


def parse_thresholds(text: str) -> "EpisodeSettings":
    """Parse `ENTER,LEAVE`, two numbers in (0, 1], or read the `episodes` of a YAML configuration.

    Raises:
        ConfigError: The text is invalid, or leave is above enter.
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
            f"--thresholds is ENTER,LEAVE, two numbers in (0, 1] with LEAVE <= ENTER, or a configuration; got {text!r}"
        ) from error


def require_build_extra(doing: str) -> None:
    """Check that the extra [build] is installed; `doing` is for the message.

    Raises:
        MissingDependencyError: A package is missing.
    """
    MissingDependencyError.unless_installed(doing, _NEEDED, "build")


def _decision_table(manifest: "Manifest") -> Table:
    assert manifest.decision is not None
    table = Table("precision", "ms per frame", "frames/s in flight", "", title=f"speed on {manifest.decision.device}")
    for candidate in manifest.decision.candidates:
        latency = "-" if candidate.milliseconds is None else f"{candidate.milliseconds:.2f}"
        rate = "-" if candidate.frames_per_second is None else f"{candidate.frames_per_second:.1f} ({candidate.requests} requests)"
        note = "chosen" if candidate.precision == manifest.precision else candidate.refused or ""
        table.add_row(candidate.precision, latency, rate, note)
    return table


def open_model(model: str, vocabulary: str) -> "tuple[Checkpoint, Vocabulary]":
    """Read a checkpoint and its vocabulary, or build an untrained one of the given vocabulary from `untrained:VARIANT`.

    Raises:
        ConfigError: There is no such variant.
        CheckpointError: The checkpoint is invalid.
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
    """Parse HEIGHTxWIDTH, such as `384x672`.

    Raises:
        ConfigError: The text is invalid.
    """
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if not match:
        raise ConfigError(f"--size is HEIGHTxWIDTH in pixels, such as 384x672; got {text!r}")
    return int(match[1]), int(match[2])
