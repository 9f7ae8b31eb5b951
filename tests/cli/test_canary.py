"""A secret in every place where a user can put one, servers that repeat all they receive, and every command that could print it."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import av
import pytest
import yaml
from servers.raw_server import RawServer, http_pages

from edge_hoi.cli import run as run_module
from edge_hoi.cli.app import main
from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.environment import insert_variables
from edge_hoi.lab.soak.camera import FaultyCamera
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import read_manifest

CANARY = "kanari"
PASSWORD = f'{CANARY}@/%41"Bird'
QUOTED = quote(PASSWORD, safe="")
BASIC = b64encode(f"me:{PASSWORD}".encode()).decode()
"""As HTTP and RTSP send it."""


class Parrot:
    """Answers each connection with what it received, as an error of the protocol that was spoken."""

    def __init__(self):
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        """Accept no further connections."""
        self._listener.close()

    def _serve(self):
        with suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._listener.accept()[0],), daemon=True).start()

    def _talk(self, connection):
        with suppress(OSError), connection:
            connection.settimeout(5)
            while request := connection.recv(65_536):
                self.received += request
                line = b" ".join(request.split())
                if request.startswith(b"*"):
                    connection.sendall(b"-ERR unknown: " + line + b"\r\n")
                    continue
                protocol = b"RTSP/1.0" if b"RTSP/" in request else b"HTTP/1.1"
                head = b'%s 400 No %s\r\nWWW-Authenticate: Basic realm="%s"\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n'
                connection.sendall(head % (protocol, line[:200], line[:500].replace(b'"', b"'"), len(line)) + line)


@pytest.fixture
def parrot():
    """Start a server that repeats what it receives."""
    parrot = Parrot()
    yield parrot
    parrot.stop()


def sources(port):
    return [
        str(DEMO_CLIP),
        f"rtsp://me:{QUOTED}@127.0.0.1:{port}/live/{CANARY}-path/1?{CANARY}-bare#{CANARY}-fragment",
        f"rtsp://me:{PASSWORD}@127.0.0.1:{port}/live",
        f"rtsp://{CANARY}-user@127.0.0.1:{port}/{CANARY}-path1",
        f"http://127.0.0.1:{port}/{CANARY}-1/video.mjpg?usr=me&p={QUOTED}&loginpas={CANARY}-2&psw={CANARY}-3",
        f"https://127.0.0.1:{port}/live;{CANARY}-params",
        f"me:{PASSWORD}@127.0.0.1:{port}/live",
        f" rtsp://me:{QUOTED}@127.0.0.1:{port}/live",
        f"udp://me:{PASSWORD}@127.0.0.1:{port}",
        "rtsp://me:${CAMERA_PASSWORD}@127.0.0.1:9/live/${STREAM}",
        "rtsp://127.0.0.1:9/live?${STREAM}",
    ]


def sinks(port):
    place = {"host": "127.0.0.1", "port": port, "timeout_seconds": 1}
    webhook = {"type": "webhook", "connect_timeout_seconds": 1, "read_timeout_seconds": 1, "total_timeout_seconds": 2}
    url = f"http://127.0.0.1:{port}/{CANARY}-hook/{QUOTED}?k={QUOTED}"
    return [
        {"type": "jsonl", "path": "events.jsonl", "camera_events": True},
        {"type": "redis", "user": "me", "password": PASSWORD, **place},
        {"type": "mqtt", "user": "me", "password": "${CAMERA_PASSWORD}", **place},
        {
            "type": "kafka",
            "brokers": [f"127.0.0.1:{port}"],
            "topic": "t",
            "sasl": {"user": "me", "password": PASSWORD},
            "timeout_seconds": 1,
        },
        {"name": "bearer", "url": url, "bearer_token": f"{CANARY}-bearer", "signing_secret": PASSWORD, **webhook},
        {"name": "header", "url": url, "headers": {"X-Key": f"Key {CANARY}-header"}, **webhook},
        {"name": "basic", "url": url, "basic": {"user": "me", "password": PASSWORD}, **webhook},
        {"name": "proxy", "url": url, "proxy": f"http://me:{QUOTED}@127.0.0.1:{port}", **webhook},
    ]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Put secrets into the environment and into a file that it names."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return os.environ | {"CAMERA_PASSWORD_FILE": str(tmp_path / "password"), "STREAM": f"{CANARY}-stream"}


def command(folder, environment, *arguments):
    """Run a command in a process of its own, in which logs and tracebacks are printed as for a user."""
    process = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-m", "edge_hoi.cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    printed = process.stdout + process.stderr
    assert printed
    assert [line for line in printed.splitlines() if CANARY in line or BASIC in line] == []
    return process.returncode, printed


@pytest.mark.slow
def test_no_command_prints_or_stores_a_secret_of_the_configuration(tmp_path, parrot, environment):
    for extra, module in {"mqtt": "paho.mqtt", "redis": "redis", "kafka": "confluent_kafka", "webhook": "httpx"}.items():
        pytest.importorskip(module, reason=f"needs the extra: pip install '.[{extra}]'")
    folder = tmp_path / "box"
    folder.mkdir()
    urls = sources(parrot.port)
    refused = [url for url in urls if url.startswith(("udp", " "))]
    for name, chosen in {"first": refused[:1], "second": refused[1:], "all": [url for url in urls if url not in refused]}.items():
        document = {
            "sources": [{"url": url, "open_timeout_seconds": 3, "read_timeout_seconds": 3} for url in chosen],
            "engine": {"path": "default", "allow_demo": True},
            "sinks": sinks(parrot.port),
            "outbox": {"path": "outbox.sqlite", "drain_seconds": 2},
            "max_frames": 20,
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
        code, printed = command(folder, environment, "run", f"{name}.yaml")
        assert code
        assert "***" in printed
    assert CANARY.encode() in parrot.received  # it was sent
    assert command(folder, environment, "sinks", "test", "all.yaml")[0] == 6
    assert command(folder, environment, "outbox", "status", "outbox.sqlite")[0] == 0
    assert command(folder, environment, "outbox", "status", "all.yaml")[0] == 0
    command(folder, environment, "outbox", "dead-letters", "outbox.sqlite")
    command(folder, environment, "doctor")
    stored = [file for file in folder.iterdir() if file.suffix != ".yaml"]
    assert {"events.jsonl", "outbox.sqlite"} <= {file.name for file in stored}
    assert [file.name for file in stored if CANARY.encode() in file.read_bytes()] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 9))
def test_a_source_of_the_command_line_is_printed_without_its_secrets(tmp_path, parrot, environment, number):
    url = sources(parrot.port)[number]
    code, printed = command(tmp_path, environment, "detect", url, "--engine", "default")
    assert code
    assert "list of processes" in printed or number in (5, 6)
    assert "127.0.0.1" in printed or number in (2, 5)


def processes_below(pid):
    """Return the command lines and names of a process and of all that it has started."""
    told, waiting = "", [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        with suppress(OSError):
            told += (folder / "cmdline").read_text() + (folder / "comm").read_text()
            waiting += " ".join(path.read_text() for path in (folder / "task").glob("*/children")).split()
    return told


def assert_clean(folder, *written):
    """No file below a folder has the canary in its name or its content; those named are there."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    assert {path.relative_to(folder).parts[0] for path in files} >= set(written)
    assert [path for path in files if CANARY in str(path.relative_to(folder)) or CANARY.encode() in path.read_bytes()] == []


@pytest.fixture
def camera(short_clip):
    with FaultyCamera(short_clip, password=PASSWORD) as camera:
        yield camera


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are read from /proc")
def test_cameras_that_work_leave_no_secret_in_files_names_processes_or_what_reads_them(tmp_path, camera, environment):
    folder = tmp_path / "box"
    folder.mkdir()
    secret_place = f"rtsp://127.0.0.1:{camera.port}/{CANARY}-path/live?psw={CANARY}-1&x={CANARY}-2#{CANARY}-3"
    url = secret_place.replace("//", f"//viewer:{QUOTED}@")
    document = {
        "sources": [
            {"url": url, "memory_limit": "600MB"},
            {"url": secret_place, "username": "viewer", "password": "${CAMERA_PASSWORD}"},
            {"url": secret_place, "username": "viewer", "password_file": environment["CAMERA_PASSWORD_FILE"]},
        ],
        "engine": {"path": "default", "allow_demo": True},
        "sinks": [{"type": "jsonl", "path": "events.jsonl"}],
        "outbox": {"path": "outbox.sqlite"},
        "annotate": {"path": "seen.mp4"},
        "media": {"path": "media"},
        "max_frames": 40,
    }
    (folder / "a.yaml").write_text(yaml.safe_dump(document))
    told = []
    arguments = [sys.executable, "-m", "edge_hoi.cli", "run", "a.yaml"]
    with subprocess.Popen(arguments, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None:
            told.append(processes_below(process.pid))
            time.sleep(0.2)
        printed = process.stdout.read()
    assert process.returncode == 0, printed
    assert CANARY not in printed
    assert BASIC not in printed
    assert "is called" in printed  # by its place in the list
    assert any("decoding_process" in each for each in told)
    assert not any(CANARY in each for each in told)
    assert_clean(folder, "events.jsonl", "outbox.sqlite", "seen-127.0.0.1-" + str(camera.port) + "-live.mp4", "media")
    assert camera.sessions >= 3
    (folder / "b.yaml").write_text(yaml.safe_dump({"sources": [document["sources"][0] | {"zones": {"door": [[0, 0], [1, 0], [1, 1]]}}]}))
    for arguments in (
        ["events", "events.jsonl"],
        ["outbox", "status", "outbox.sqlite"],
        ["zones", "draw", "b.yaml"],
        ["detect", url, "--engine", "default", "--allow-demo-engine", "--max-frames", "2"],
        ["doctor", "--json"],
        ["soak", "c.yaml", "--seconds", "4", "--cameras", "1", "--json", "soak.json"],
        ["sources", "discover", f"http://127.0.0.1:{camera.port}/{CANARY}-path?psw={CANARY}-1", "--username", "viewer"],
    ):
        (folder / "c.yaml").write_text(yaml.safe_dump(document | {"sinks": [{"type": "redis", "password": PASSWORD, "port": 9}]}))
        assert command(folder, environment, *arguments)[0] != 1
    assert_clean(folder, "soak.json", "zones.png")


@pytest.mark.slow
def test_a_benchmark_and_a_set_of_frames_name_a_source_without_its_secrets(tmp_path, short_clip, environment):
    with av.open(str(short_clip)) as source, av.open(str(tmp_path / "a.mp4"), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    server = RawServer(http_pages({f"/{CANARY}-path/a.mp4": (tmp_path / "a.mp4").read_bytes()}))
    url = f"http://me:{QUOTED}@127.0.0.1:{server.port}/{CANARY}-path/a.mp4?psw={CANARY}-1"
    options = ["--rounds", "1", "--batch", "1", "--no-eager", "--json", "speed.json"]
    code, printed = command(tmp_path, environment, "bench", "--source", url, *options)
    assert code == 0, printed
    for module in ("torch", "onnxruntime"):
        pytest.importorskip(module)
    from edge_hoi.export.frames import collect_frames

    description = read_manifest(engine_folder("default")).input
    names = [frame.name for frame in collect_frames([url], 2, description).frames]
    server.stop()
    assert len(names) == 2
    assert CANARY not in "".join([*names, (tmp_path / "speed.json").read_text()])


def test_no_repr_of_a_configuration_shows_a_secret(environment, monkeypatch):
    for name in ("CAMERA_PASSWORD_FILE", "STREAM"):
        monkeypatch.setenv(name, environment[name])
    document = {"sources": [{"url": url} for url in sources(9)], "sinks": sinks(9)}
    config = parse_config(insert_variables(document, "test"), origin="test")
    assert CANARY in config.sources[1].url
    assert CANARY not in f"{config} {config!r} {config.sources} {config.sinks}"


@pytest.mark.parametrize(
    "fault",
    [
        {"max_frames": PASSWORD},
        {"site": PASSWORD},
        {"sources": [{"url": f"rtsp://me:{PASSWORD}@h", "rtsp_transport": PASSWORD}]},
        {"sources": [{"url": {"rtsp": PASSWORD}}]},
        {"sources": [f"rtsp://me:{PASSWORD}@h", 7]},
        {"sinks": [{"type": "redis", "password": {"x": PASSWORD}}]},
        {"sinks": [{"type": "redis", "password": PASSWORD, "port": PASSWORD}]},
        {"sinks": [{"type": "mqtt", "host": f"mqtt://me:{PASSWORD}@h"}]},
        {"sinks": [{"type": "mqtt", "host": "h", "password": PASSWORD}]},
        {"sinks": [{"type": "kafka", "brokers": [f"me:{PASSWORD}@h:9"], "topic": "t"}]},
        {
            "sinks": [
                {"type": "kafka", "brokers": ["h:9"], "topic": "t", "sasl": {"user": "me", "password": PASSWORD, "mechanism": PASSWORD}}
            ]
        },
        {"sinks": [{"type": "webhook", "url": f"ftp://me:{PASSWORD}@h"}]},
        {"outbox": {"path": 7, "max_age_days": PASSWORD}},
    ],
    ids=json.dumps,
)
def test_an_error_of_the_configuration_quotes_no_value(tmp_path, edge_hoi, fault, monkeypatch):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(fault))
    code, printed = edge_hoi("run", tmp_path / "a.yaml")
    assert code == 2
    assert "a.yaml:" in printed
    assert CANARY not in printed


@pytest.mark.parametrize(
    "url",
    [
        f"rtsp://me:{PASSWORD}@h/live",
        f"rtsp://h/{CANARY}-Path1/1",
        f"http://h/v?{CANARY}-q",
        f"me:{PASSWORD}@h/live",
        f"rtsp://{CANARY}-1@h",
    ],
)
def test_a_traceback_with_a_source_or_a_sink_shows_no_secret(tmp_path, capsys, monkeypatch, url):
    def fail(settings, **_):
        raise RuntimeError(f"{settings!r} {[source.url for source in settings.sources]} {settings.sinks[0].password.get_secret_value()}")

    monkeypatch.setattr("edge_hoi.pipeline.build_pipeline", fail)
    monkeypatch.setattr(run_module, "get_engine", lambda engine, *_, **__: engine.path)
    document = {"sources": [url], "engine": {"path": "default"}, "sinks": [{"type": "redis", "password": f"{CANARY}-redis"}]}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(SystemExit) as ended:
        main(["run", str(tmp_path / "a.yaml")])
    printed = "".join(capsys.readouterr())
    assert ended.value.code == 1
    assert "RuntimeError" in printed
    assert CANARY not in printed


def test_a_password_on_the_command_line_brings_a_note_and_a_variable_does_not(edge_hoi, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAMERA_PASSWORD", "Hunter2-x")
    noted = {
        "rtsp://me:Hunter2-x@h:9/live": True,
        "rtsp://token@h:9/live": True,
        "rtsp://h:9/live?psw=Hunter2-x&channel=1": True,
        "rtsp://h:9/live?channel=1": False,
        "rtsp://h:9/live": False,
        "rtsp://me:${CAMERA_PASSWORD}@h:9/live": False,
        "rtsp://h:9/live?psw=${CAMERA_PASSWORD}": False,
        "missing.mp4": False,
    }
    for url, is_noted in noted.items():
        code, printed = edge_hoi("bench", "--source", url, "--backend", "none")
        assert code
        assert ("every user of this machine can see its password" in printed) is is_noted, url
        assert "Hunter2-x" not in printed
    assert "export NO_SUCH=" in edge_hoi("detect", "rtsp://me:${NO_SUCH}@h/live")[1]
