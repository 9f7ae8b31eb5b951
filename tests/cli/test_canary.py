"""A secret in every place where a user can put one, servers that repeat all they receive, and every command that could print it."""

import json
import os
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from contextlib import suppress
from urllib.parse import quote

import pytest
import yaml

from edge_hoi.cli import run as run_module
from edge_hoi.cli.app import main
from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.environment import insert_variables

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
