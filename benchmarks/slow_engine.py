"""Measure how old frames of a live camera are with an engine that cannot keep up: `python benchmarks/slow_engine.py [--seconds 600]`.

The camera serves the embedded clip over RTSP from a process of its own, the engine is slowed to a rate, and everything else is that of
`edge-hoi run`. Afterwards the same clip is read as a recording by the same engine. An engine period is the time that the engine
took for the frame or for the one before it, whichever is longer: as long as a frame has to wait on a machine that is busy with other work.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np
from machine import describe_machine
from stages import Quiet

from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.detection.detector import FixedSizeDetector
from edge_hoi.pipeline import CameraStatus, build_pipeline
from edge_hoi.pipeline.camera import Camera

_CAMERA = """
import sys
from fractions import Fraction
from pathlib import Path
from edge_hoi.lab.soak.camera import FaultyCamera
with FaultyCamera(Path(sys.argv[1])) as camera:
    print(camera.url, flush=True)
    sys.stdin.read()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--engine-fps", type=float, default=5.0)
    parser.add_argument("--engine", default="default")
    arguments = parser.parse_args()
    period = 1 / arguments.engine_fps
    ages: list[float] = []
    periods: list[float] = []
    ages_in_periods: list[float] = []
    detect, process = FixedSizeDetector.detect, Camera.process

    def detect_slowly(self: FixedSizeDetector, images: Sequence[object]) -> object:
        began = time.monotonic()
        found = detect(self, images)  # type: ignore[arg-type]
        time.sleep(max(0.0, len(images) * period - (time.monotonic() - began)))
        periods.append((time.monotonic() - began) / len(images))
        return found

    def process_noting_age(self: Camera, frame, *others):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN002, ANN202
        events = process(self, frame, *others)
        ages.append(time.monotonic() - frame.arrived_seconds)
        ages_in_periods.append(ages[-1] / max(periods[-2:]))
        return events

    print(describe_machine(), flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(FixedSizeDetector, "detect", detect_slowly),
        patch.object(Camera, "process", process_noting_age),
    ):
        clip = at_rate(DEMO_CLIP, Path(folder) / "clip.mp4", arguments.fps)
        with subprocess.Popen(
            [sys.executable, "-c", _CAMERA, str(clip)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            status = run(server.stdout.readline().strip(), arguments, arguments.seconds)  # type: ignore[union-attr]
            server.stdin.close()  # type: ignore[union-attr]
        print(
            f"camera of {arguments.fps} frames a second, engine of {arguments.engine_fps:g}, {arguments.seconds:g} s: "
            f"{status.frames} frames processed, {status.skipped} skipped, {status.corrupt} damaged, {status.reconnections} reconnections"
        )
        print(f"engine: {percentiles(periods)} ms a frame; load average {os.getloadavg()[1]:.1f}")
        print(f"age: {percentiles(ages)} ms; p99 in engine periods: {np.percentile(ages_in_periods, 99):.2f}", flush=True)
        status = run(str(clip), arguments, None)
        with av.open(str(clip)) as container:
            frames = container.streams.video[0].frames
        print(f"as a recording: {status.frames} of {frames} frames processed, {status.skipped} skipped")


def percentiles(seconds: Sequence[float]) -> str:
    """Format the median, the 99th percentile and the maximum, in milliseconds."""
    return "p50 {:.0f}, p99 {:.0f}, most {:.0f}".format(*(1000 * np.percentile(seconds, [50, 99, 100])))


def run(url: str, arguments: argparse.Namespace, seconds: float | None) -> CameraStatus:
    """Run a source for some seconds after its first frame, or to its end."""
    sections = {"sources": [{"url": url, "detect_when": "always"}], "engine": {"path": arguments.engine, "allow_demo": True}}
    pipeline = build_pipeline(parse_config(sections, origin="benchmark"), note=lambda _: None)
    stop = threading.Event()

    def end() -> None:
        while not pipeline.statuses()[0].frames:
            time.sleep(0.1)
        stop.wait(seconds)
        stop.set()

    if seconds is not None:
        threading.Thread(target=end, daemon=True).start()
    return pipeline.run(stop, Quiet())[0]


def at_rate(video: Path, path: Path, fps: int) -> Path:
    """Encode a video's frames anew at a rate."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = source.streams.video[0].width, source.streams.video[0].height, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            frame.pts, frame.time_base = number, Fraction(1, fps)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
