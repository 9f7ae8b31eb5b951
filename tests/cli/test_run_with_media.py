"""`edge-hoi run` with zones, rules, snapshots and clips over the embedded clip: complete, and equal in every run."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import av
import jsonschema
import pytest

from edge_hoi.events import load_schema

CONFIG = """
sources: [{url: %s, id: dock, zones: {left: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}, lines: {middle: [[0.5, 1], [0.5, 0]]}}]
engine: {path: default}
rules:
  - {name: anything, severity: info}
  - {name: left for a second, zones: [left], dwell_seconds: 1, severity: alert}
sinks:
  - {type: jsonl, path: all.jsonl, append: false}
  - {type: jsonl, name: alerts, path: alerts.jsonl, append: false, min_severity: alert}
media: {path: media, clips: {before_seconds: 1}, reserve_megabytes: 0}
"""


def events_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_events_have_zones_rules_images_and_videos_and_are_equal_in_every_run(edge_hoi, tmp_path, repository):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG % (repository / "edge_hoi" / "assets" / "demo.mp4"))
    runs = []
    for _ in range(2):
        code, printed = edge_hoi("run", config, "--max-frames", "120")
        assert code == 0, printed
        media = {path.name: path.read_bytes() for path in (tmp_path / "media" / "dock").iterdir()}
        runs.append(((tmp_path / "all.jsonl").read_bytes(), media))
    assert runs[0] == runs[1]

    events, alerts = events_of(tmp_path / "all.jsonl"), events_of(tmp_path / "alerts.jsonl")
    validator = jsonschema.Draft202012Validator(load_schema())
    for event in events:
        validator.validate(event)
    assert alerts == [event for event in events if event["data"]["severity"] == "alert"]
    assert 0 < len(alerts) < len(events)
    assert {tuple(event["data"]["zones"]) for event in events} == {(), ("left",)}
    assert all(event["data"]["rules"][0] == "anything" and event["data"]["snapshot"] for event in events)
    for data in (event["data"] for event in events):
        for reference in filter(None, (data["snapshot"], data["clip"])):
            content = Path(reference["uri"].removeprefix("file://")).read_bytes()
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (reference["sha256"], reference["size_bytes"])
        assert (data["clip"] is not None) == (data["phase"] == "ended")
        if data["clip"]:
            with av.open(data["clip"]["uri"].removeprefix("file://")) as clip:
                shown = [float(frame.pts * frame.time_base) for frame in clip.decode(video=0)]
            first = data["clip"]["start_seconds"]
            assert first <= data["start"]["pts_seconds"] <= data["end"]["pts_seconds"] <= first + shown[-1] + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("events", [1, 10, 25])
def test_a_killed_run_has_every_file_that_its_events_refer_to(tmp_path, repository, events):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG % (repository / "edge_hoi" / "assets" / "demo.mp4"))
    with subprocess.Popen([sys.executable, "-m", "edge_hoi.cli", "run", str(config)], cwd=tmp_path, stderr=subprocess.DEVNULL) as killed:
        written, deadline = tmp_path / "all.jsonl", time.monotonic() + 240
        while not written.exists() or written.read_bytes().count(b"\n") < events:
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        killed.kill()
    lines = [json.loads(line) for line in written.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    references = {each["uri"]: each for line in lines for each in (line["data"]["snapshot"], line["data"]["clip"]) if each}
    assert len(lines) >= events
    assert references
    for uri, reference in references.items():
        content = Path(uri.removeprefix("file://")).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (reference["sha256"], reference["size_bytes"])
