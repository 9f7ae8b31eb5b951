"""`edge-hoi calibrate`: choose calibration frames, record the ranges of a model's layers, and report their INT8 error."""

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edge_hoi.cli.build_engine import SizeOption, UntrainedVocabularyOption, open_model, parse_size, require_build_extra, step_printer
from edge_hoi.cli.sources import read_sources
from edge_hoi.cli.terminal import out
from edge_hoi.unfinished import temporary_folder

_SHOWN_LAYERS = 12
_REPORT_FRAMES = 16


def calibrate(
    model: Annotated[str, typer.Argument(help="Checkpoint, as for `edge-hoi build`.")],
    source: Annotated[
        list[str], typer.Option("--source", callback=read_sources, help="Video, folder of images or camera; may be repeated.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The set's folder, such as calibration/street.")],
    frames: Annotated[int, typer.Option("--frames", min=2, help="Maximum number of frames, chosen to differ from each other.")] = 512,
    size: SizeOption = "384x672",
    vocabulary: UntrainedVocabularyOption = "hico_det",
    parts: Annotated[
        bool,
        typer.Option("--parts/--no-parts", help="Also quantise one part of the network at a time and report the error of the outputs."),
    ] = True,
) -> None:
    """Create a calibration set: the list of its frames with their hashes, and the ranges recorded on them by every method.

    Images are not copied. `edge-hoi build --precision int8 --calibration FOLDER` builds an engine from the set, always the same.
    Needs `pip install '.[build]'` in a checkout of edge-hoi.

        edge-hoi calibrate hoiclip.pth --source street.mp4 --frames 512 --output calibration/street
    """
    require_build_extra("calibrating")
    import onnx

    from edge_hoi.export import KEEP_FLOAT, collect_frames, describe_input, export_network, histograms_of, make_recording, weights_sha256
    from edge_hoi.export.calibration import write_recording
    from edge_hoi.export.quantise import layers_to_quantise, quantise
    from edge_hoi.export.sensitivity import distortion, layer_noise, run_frames, sensitivities

    input_size = parse_size(size)
    step = step_printer()
    step(f"reading {model}")
    checkpoint, _ = open_model(model, vocabulary)
    described = describe_input(checkpoint, input_size)
    step(f"choosing up to {frames} frames")
    chosen = collect_frames(source, frames, described)
    step("exporting the network")
    with temporary_folder() as folder:
        path = folder / "network.onnx"
        export_network(checkpoint, path)
        network = onnx.load(path)
    step(f"recording ranges on {len(chosen.frames)} frames")
    histograms = histograms_of(network, chosen, described)
    recording = make_recording(histograms, chosen, described, weights_sha256(checkpoint))
    write_recording(recording, output)

    step("comparing methods")
    layers = layers_to_quantise(network, KEEP_FLOAT)
    inputs = chosen.spread(_REPORT_FRAMES).with_negatives(_REPORT_FRAMES // 2).input_list(described)
    expected = run_frames(network, inputs)
    methods = Table("method", *expected, title="error of each output, relative to its variation between frames")
    for method, limits in recording.ranges.items():
        got = run_frames(quantise(network, limits, layers), inputs)
        methods.add_row(method, *(f"{distortion(expected[name], got[name]):.3f}" for name in expected))
    out.print(methods)
    limits = recording.ranges["percentile"]
    noisiest = Table("layer", "input", "weights", title=f"the {_SHOWN_LAYERS} noisiest of {len(layers)} layers: noise over signal, dB")
    for layer in layer_noise(network, layers, histograms, limits)[:_SHOWN_LAYERS]:
        noisiest.add_row(layer.name, _decibel(layer.input), _decibel(layer.weight))
    out.print(noisiest)
    if parts:
        step("quantising one part at a time")
        table = Table("--keep-float", "worst output", title="error if only that part is quantised")
        for pattern, value in sorted(sensitivities(network, limits, inputs, KEEP_FLOAT), key=lambda part: -part[1]):
            table.add_row(pattern, f"{value:.3f}")
        out.print(table)
    step("done")
    out.print(f"{output}: {len(chosen.frames)} frames, {recording.frames_sha256[:12]}; build with", soft_wrap=True)
    out.print(f"    edge-hoi build {model} --output engines/NAME --precision int8 --calibration {output}", soft_wrap=True)


def _decibel(ratio: float) -> str:
    return f"{10 * math.log10(max(ratio, 1e-12)):.1f}"
