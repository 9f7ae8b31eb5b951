"""Events of a camera on a real RTSP server that goes and comes back, through a killed program, at a real MQTT broker."""

import json
import signal
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator
from servers.mosquitto import Listener, Mosquitto, require_mosquitto
from strict_schema import closed

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.events import load_camera_schema, load_schema

CONFIG = """
site: home
retry_unreachable_sources: true
sources:
  - {{url: "{url}", id: gate, rtsp_transport: tcp, read_timeout_seconds: 2, reconnect: {{max_wait_seconds: 0.5}}}}
sinks:
  - {{type: jsonl, path: all.jsonl, append: true, camera_events: true}}
  - {{type: jsonl, name: plain, path: plain.jsonl, append: true}}
  - {{type: mqtt, host: 127.0.0.1, port: {port}, home_assistant: homeassistant}}
outbox: {{path: outbox.sqlite}}
"""


@pytest.fixture
def broker(tmp_path):
    require_mosquitto()
    broker = Mosquitto(tmp_path / "broker")
    yield broker
    broker.stop()


@pytest.mark.slow
def test_a_camera_that_goes_and_comes_back_is_told_in_pairs_through_a_kill(rtsp_server, broker, tmp_path, wait_for):
    camera = rtsp_server(DEMO_CLIP)
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=camera.url, port=broker.port))
    listener = Listener(broker.port, "edge-hoi/gate/availability")

    def start():
        command = [sys.executable, "-m", "edge_hoi.cli", "run", "config.yaml", "--allow-demo-engine"]
        with (tmp_path / "log").open("a") as log:
            return subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)

    def events(name="all"):
        path = tmp_path / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")] if path.exists() else []

    def states():
        return [event["data"]["state"] for event in events() if ".camera." in event["type"]]

    def availability():
        return [message.payload for message in listener.received()]

    process = start()
    try:
        wait_for(lambda: states() == ["streaming"])
        camera.stop()
        wait_for(lambda: len(states()) == 2)
        wait_for(lambda: availability()[-1:] == [b"offline"])
        camera.start()
        wait_for(lambda: len(states()) == 3)
        wait_for(lambda: availability()[-1:] == [b"online"])
        wait_for(lambda: any(".interaction." in event["type"] for event in events()))
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process = start()
        wait_for(lambda: states()[3:5] == ["stopped", "streaming"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(30)
    assert states()[0] == states()[2] == "streaming"
    assert states()[1] in ("silent", "reconnecting")
    told = {(event["source"], event["id"]): event for event in events() if ".camera." in event["type"]}
    assert len(told) == len(states()) >= 6
    assert [event["sequence"] for event in told.values()] == ["00000000", "00000001"] * (len(told) // 2)
    assert [event["data"]["error_code"] for event in told.values()].index("restart") == 3
    for event in told.values():
        Draft202012Validator(closed(load_camera_schema())).validate(event)
    interactions = [event for event in events() if ".interaction." in event["type"]]
    assert events("plain") == interactions
    for event in interactions:
        Draft202012Validator(closed(load_schema())).validate(event)
    assert availability()[-1] == b"offline"  # as the run ended
    listener.stop()
