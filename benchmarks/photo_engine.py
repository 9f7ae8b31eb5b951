"""Measure a two-stage engine's speed: `python benchmarks/photo_engine.py DETECTOR.onnx VIDEO [--calibration SOURCE …]`.

In one run, in turns, beside the embedded engine: the engines' latency at batches of 1 and 4, and frames a second from a file to delivered
events, with the video resized to 480x270 and to 1280x720. With `--calibration` the engine in INT8 as well, if it passes the accuracy gate.
"""

import argparse
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from machine import describe_machine
from stages import Quiet, enlarge

from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import EngineError
from edge_hoi.export import FrameSet, Reduction, collect_frames
from edge_hoi.export.photo import build_reduced_photo_engine
from edge_hoi.export.reduction import weight_bits_for
from edge_hoi.photo import PhotoOptions, build_photo_engine
from edge_hoi.photo.build import describe_photo_input
from edge_hoi.pipeline import build_pipeline
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import open_engine, random_inputs
from edge_hoi.telemetry import time_interleaved

BATCHES = (1, 4)
SIZES = ((480, 270), (1280, 720))
EMBEDDED = "embedded HOICLIP"
CALIBRATION_FRAMES, GATE_FRAMES = 256, 48


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--calibration", nargs="+", default=[], help="videos and folders of images")
    parser.add_argument("--frames", type=int, default=300, help="of each run from file to events")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = report(arguments, Path(folder))
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def report(arguments: argparse.Namespace, folder: Path) -> str:
    """Build the engines, measure them, and format the results as Markdown."""
    engines, note = build(arguments.detector, arguments.calibration, folder)
    lines = [describe_machine("onnx"), "", note, ""] if note else [describe_machine("onnx"), ""]
    lines += ["| engine | batch | median ms | ms a frame | times the embedded engine's frames |", "|---|---:|---:|---:|---:|"]
    latencies = latency(engines, arguments.rounds)
    for (name, batch), seconds in latencies.items():
        a_frame = seconds / batch
        ratio = latencies[EMBEDDED, 1] / a_frame
        lines.append(f"| {name} | {batch} | {1e3 * seconds:.1f} | {1e3 * a_frame:.1f} | {ratio:.2f} |")
    lines += ["", "| engine | video | frames a second, file to events | lowest to highest |", "|---|---|---:|---:|"]
    for (name, (width, height)), rates in throughput(engines, arguments, folder).items():
        lines.append(f"| {name} | {width}x{height} | {np.median(rates):.1f} | {min(rates):.1f} to {max(rates):.1f} |")
    return "\n".join(lines)


def build(detector: Path, calibration: Sequence[str], folder: Path) -> tuple[dict[str, Path], str]:
    """Build the two-stage engine in fp32 and, with calibration sources, in INT8; return the folders by name, and why INT8 is missing."""
    engines = {EMBEDDED: engine_folder("default"), "photo, fp32": folder / "fp32"}
    build_photo_engine(PhotoOptions(detector), engines["photo, fp32"])
    if not calibration:
        return engines, "INT8 was not built: no --calibration"
    described = describe_photo_input(detector)
    frames = collect_frames(calibration, CALIBRATION_FRAMES, described)
    reduction = Reduction("int8", FrameSet(frames.spread(GATE_FRAMES).frames), frames, weight_bits=weight_bits_for("openvino"))
    try:
        manifest = build_reduced_photo_engine(PhotoOptions(detector), folder / "int8", reduction=reduction, progress=print)
    except EngineError as error:
        return engines, f"INT8 is refused: {error}"
    engines["photo, INT8"] = folder / "int8"
    measured = manifest.accuracy.measured if manifest.accuracy else {}
    return engines, "INT8 against fp32: " + ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in measured.items())


def latency(engines: dict[str, Path], rounds: int) -> dict[tuple[str, int], float]:
    """Measure the median seconds of a run on random input, by engine and batch."""
    opened = {(name, batch): open_engine(folder, max_batch=batch) for name, folder in engines.items() for batch in BATCHES}
    runs = {key: partial(engine.run, random_inputs(engine.inputs, key[1])) for key, engine in opened.items()}
    seconds = time_interleaved(runs, rounds=4 * rounds, runs_per_turn=3, warm_up=5)
    for engine in opened.values():
        engine.close()
    return {key: float(np.median(values)) for key, values in seconds.items()}


def throughput(engines: dict[str, Path], arguments: argparse.Namespace, folder: Path) -> dict[tuple[str, tuple[int, int]], list[float]]:
    """Measure frames a second from a file to events on disk, by engine and size of the video; the start of the engine is left out."""
    rates: dict[tuple[str, tuple[int, int]], list[float]] = {}
    for width, height in SIZES:
        video = enlarge(arguments.video, folder / f"{height}.mp4", width=width, height=height, frames=arguments.frames)
        for _ in range(arguments.rounds):
            for name, engine in engines.items():
                source = str(video if name != EMBEDDED else enlarged_demo(folder, width, height, arguments.frames))
                rates.setdefault((name, (width, height)), []).append(frames_per_second(source, engine, folder, arguments.frames))
    return rates


def enlarged_demo(folder: Path, width: int, height: int, frames: int) -> Path:
    """Return the embedded clip, which the embedded engine was trained for, in another size."""
    path = folder / f"demo-{height}.mp4"
    return path if path.exists() else enlarge(DEMO_CLIP, path, width=width, height=height, frames=frames)


def frames_per_second(source: str, engine: Path, folder: Path, frames: int) -> float:
    """Run the pipeline over a video; the clock starts with the first processed frame."""
    sinks = [{"type": "jsonl", "path": str(folder / "events.jsonl")}]
    config = parse_config(
        {"sources": [{"url": source}], "engine": {"path": str(engine)}, "sinks": sinks, "max_frames": frames}, origin="benchmark"
    )
    pipeline = build_pipeline(config, note=lambda _: None)
    (status,) = pipeline.run(threading.Event(), Quiet())
    return status.fps


if __name__ == "__main__":
    main()
