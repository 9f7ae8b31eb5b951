"""Measure an engine's frames a second by OpenVINO's streams, threads and requests: `python benchmarks/streams.py [FOLDER]`.

A run with `requests: auto` takes as many streams and requests as cores, at most four. Settings take turns, so that a busy machine slows all
of them.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine_layers import compile_engine
from machine import describe_machine

from edge_hoi.pipeline.engines import engine_folder

Setting = tuple[int, int, int]
"""Streams, threads in all, and requests."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=engine_folder("default"))
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    opened: dict[Setting, tuple[list[Any], Mapping[str, Any]]] = {}
    for streams, threads, requests in settings(cores):
        hint = "LATENCY" if streams == 1 else "THROUGHPUT"
        compiled, inputs = compile_engine(
            arguments.folder, PERFORMANCE_HINT=hint, NUM_STREAMS=str(streams), INFERENCE_NUM_THREADS=str(threads)
        )
        opened[streams, threads, requests] = [compiled.create_infer_request() for _ in range(requests)], inputs
    rates: dict[Setting, list[float]] = {setting: [] for setting in opened}
    for _ in range(arguments.rounds):
        for setting, (requests_of, inputs) in opened.items():
            rates[setting].append(rate(requests_of, inputs, arguments.seconds))
    automatic = min(4, cores)
    usual = statistics.median(rates[automatic, cores, automatic])
    lines = [f"{describe_machine()}; {arguments.folder.name}, frames a second of {arguments.rounds} rounds of turns;"]
    lines[0] += f" load average at the end {os.getloadavg()[0]:.1f}\n"
    lines += ["| streams | threads | requests | median (least to most) | of `requests: auto` |", "|---:|---:|---:|---:|---:|"]
    for (streams, threads, requests), found in rates.items():
        median = statistics.median(found)
        spread = f"{median:.1f} ({min(found):.1f} to {max(found):.1f})"
        lines.append(f"| {streams} | {threads} | {requests} | {spread} | {median / usual:.2f} |")
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def settings(cores: int) -> Iterator[Setting]:
    """Yield what to try: one thread; each number of streams up to two for each core, with as many requests, and with twice as many."""
    yield 1, 1, 1
    streams = {1, min(4, cores), cores, 2 * cores, *(cores // parts for parts in (2, 4) if cores >= 2 * parts)}
    for count in sorted(streams):
        yield count, cores, count
        yield count, cores, 2 * count


def rate(requests: list[Any], inputs: Mapping[str, Any], seconds: float) -> float:
    """Measure runs a second with all requests in flight, from the first results to the last."""
    for request in requests:
        request.start_async(inputs, share_inputs=True)
    for request in requests:
        request.wait()
        request.start_async(inputs, share_inputs=True)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for request in requests:
            request.wait()
            request.start_async(inputs, share_inputs=True)
        count += len(requests)
    elapsed = time.perf_counter() - began
    for request in requests:
        request.wait()
    return count / elapsed


if __name__ == "__main__":
    main()
