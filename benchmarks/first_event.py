"""Measure the way from nothing to the first event on a real video: `python benchmarks/first_event.py VIDEO DETECTOR.onnx`.

What a user types is typed here: one command sets up a fresh environment, one runs on the video. Packages come from the package index; the
detector's file is served on loopback in place of its publisher, at the rate of `--megabits`. Prints seconds, bytes and events.
"""

import argparse
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from machine import describe_machine

CHECKOUT = Path(__file__).resolve().parent.parent
SET_UP = f"{sys.executable} -m venv .venv && .venv/bin/pip install --no-cache-dir {CHECKOUT}"
RUN = ".venv/bin/edge-hoi run --source {video} --events events.jsonl"
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("detector", type=Path)
    parser.add_argument("--megabits", type=float, default=50.0, help="rate at which the detector is served, in millions of bits a second")
    arguments = parser.parse_args()
    print(f"{describe_machine()}; load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name, serve(arguments.detector, arguments.megabits * 1e6 / 8) as server:
        folder = Path(name)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_HOI_")}
        environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "EDGE_HOI_MIRROR": f"http://127.0.0.1:{server.server_port}"}
        started = time.monotonic()
        printed = run(SET_UP, folder, environment)
        installed = time.monotonic()
        fetched = sum(
            float(size) * UNITS[unit] for size, unit in re.findall(r"^ *Downloading .*\(([\d.]+) (kB|MB|GB)\)", printed, re.MULTILINE)
        )
        first = watch(RUN.format(video=arguments.video.resolve()), folder, environment)
        print(f"1. {SET_UP}\n   {installed - started:.1f} s, {fetched / 1e6:.1f} MB fetched as pip reports them")
        print(f"2. {RUN.format(video=arguments.video.name)}")
        print(f"   {server.sent_bytes / 1e6:.1f} MB fetched; first event after {first:.1f} s")
        print(f"together {installed - started + first:.1f} s, {(fetched + server.sent_bytes) / 1e6:.1f} MB, 2 commands")
        for line in (folder / "events.jsonl").read_text().splitlines():
            event = json.loads(line)["data"]
            if event["phase"] == "started":
                print(f"   {event['start']['pts_seconds']:6.1f} s  {event['text']}  {event['score']}")


def run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a shell's command to its end, and return what it printed."""
    return subprocess.run(command, shell=True, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def watch(command: str, folder: Path, environment: Mapping[str, str]) -> float:
    """Run a shell's command to its end, and return the seconds until its first event was written."""
    events, started = folder / "events.jsonl", time.monotonic()
    process = subprocess.Popen(command, shell=True, cwd=folder, env=environment)
    while not (events.exists() and events.stat().st_size):
        if process.poll() is not None:
            sys.exit(f"no event; exit code {process.returncode}")
        time.sleep(0.05)
    seconds = time.monotonic() - started
    process.wait()
    return seconds


class Publisher(http.server.ThreadingHTTPServer):
    """Serves one file at a limited rate, and nothing else; a context manager.

    Attributes:
        sent_bytes: What it sent.
    """

    def __init__(self, file: Path, bytes_per_second: float) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.file, self.bytes_per_second, self.sent_bytes = file, bytes_per_second, 0


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers with the file."""

    server: Publisher

    def do_GET(self) -> None:
        """Send the file, or 404."""
        if self.path.strip("/") != self.server.file.name:
            self.send_error(404)
            return
        content = self.server.file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for begin in range(0, len(content), 1 << 16):
            self.server.sent_bytes += self.wfile.write(content[begin : begin + (1 << 16)])
            time.sleep((1 << 16) / self.server.bytes_per_second)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- its name there
        """Say nothing."""


def serve(file: Path, bytes_per_second: float) -> Publisher:
    """Start serving a file."""
    server = Publisher(file, bytes_per_second)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    main()
