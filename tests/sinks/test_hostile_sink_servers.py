"""Servers that announce and send far too much, too slowly, or what is no protocol at all; memory is measured from outside."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

import pytest
from busy_machine import within

from edge_hoi.config import parse_config
from edge_hoi.errors import SinkError
from edge_hoi.sinks import SinkContext

CLIENT = """
import json, sys, traceback
from edge_hoi.config import parse_config
from edge_hoi.errors import SinkError
from edge_hoi.sinks import Message, SinkContext, make_probe
from sample_events import make_episode

messages = [Message.of(event, position) for position, event in enumerate(make_episode(camera="gate"), 1)]

def attempt(settings):
    try:
        with parse_config({"sinks": [settings]}, origin="test").sinks[0].make(SinkContext("site", ("gate",))) as sink:
            sink.deliver(messages)
            for _ in range(int(sys.argv[2])):
                sink.open()
        return "delivered"
    except SinkError as error:
        return f"{type(error).__name__}: {error}"

settings = json.loads(sys.argv[1])
attempt(settings | json.loads(sys.argv[3]))  # imports all
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(attempt(settings)), flush=True)
sys.stdin.readline()
"""
TIMEOUT = 2
ALLOWED_BYTES = 32_000_000
FLOOD_BYTES = 600_000_000
ZEROS = bytes(1 << 16)


class HostileServer:
    """Accepts connections, reads a request, and answers by a generator of bytes; counts what clients took."""

    def __init__(self, answer):
        self.sent = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        """Accept no further connections."""
        self._listener.close()

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with suppress(OSError), connection:
            request = connection.recv(1 << 16)
            if request:
                for part in self._answer(request):
                    connection.sendall(part)
                    self.sent += len(part)
                while connection.recv(1 << 16):
                    pass


@pytest.fixture
def serve():
    """Give a function that starts a hostile server."""
    started = []

    def start(answer):
        started.append(HostileServer(answer))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def flood(*first, part=ZEROS):
    """Yield an answer that begins so and does not end."""

    def answer(_request):
        yield from first
        for _ in range(FLOOD_BYTES // len(part)):
            yield part

    return answer


def drip(*first, seconds=0.1):
    def answer(_request):
        yield from first
        while True:
            time.sleep(seconds)
            yield b"x"

    return answer


def once(*parts):
    return lambda _request: iter(parts)


def packet(kind, body):
    """Return an MQTT packet."""
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body


def publish(topic, payload, *, flags=0x31, mid=b""):
    """Return a PUBLISH packet of MQTT 3.1.1, retained."""
    return packet(flags, len(topic).to_bytes(2, "big") + topic + mid + payload)


def zones(_request):
    """Name a zone after the other."""
    yield CONNACK
    for number in range(200_000):
        yield publish(b"edge-hoi/gate/zones/%d/state" % number, b"{}" * 450)


CONNACK = packet(0x20, b"\x00\x00")
MQTT = {"type": "mqtt", "version": "3.1.1", "timeout_seconds": TIMEOUT}
REDIS = {"type": "redis", "timeout_seconds": TIMEOUT}
KAFKA = {"type": "kafka", "topic": "t", "timeout_seconds": TIMEOUT}
WEBHOOK = {"type": "webhook", "read_timeout_seconds": TIMEOUT, "total_timeout_seconds": TIMEOUT, "connect_timeout_seconds": TIMEOUT}
MODULES = {"mqtt": "paho.mqtt.client", "redis": "redis", "kafka": "confluent_kafka", "webhook": "httpx"}

ATTACKS = {
    "redis: a reply of 2 GB": (REDIS, flood(b"$2000000000\r\n")),
    "redis: a line without end": (REDIS, flood(b"+")),
    "redis: an error without end": (REDIS, flood(b"-ERR ", part=b"\x1b[31m" * 10_000)),
    "redis: an error of one word of 1 MB": (REDIS, once(b"-", b"a" * 1_000_000, b"\r\n")),
    "redis: two billion numbers": (REDIS, flood(b"*2000000000\r\n", part=b":1\r\n" * 10_000)),
    "redis: lists in lists": (REDIS, flood(part=b"*1\r\n" * 10_000)),
    "redis: a reply that drips": (REDIS, drip(b"$2000\r\n")),
    "redis: no Redis": (REDIS, once(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "redis: a length that is no number": (REDIS, once(b"$many\r\n")),
    "mqtt: a packet of 256 MB": (MQTT, flood(CONNACK, b"\x31\xff\xff\xff\x7f")),
    "mqtt: no acknowledgement but a packet of 256 MB": (MQTT, flood(b"\x20\xff\xff\xff\x7f")),
    "mqtt: packets of 1 MB without end": (MQTT, flood(CONNACK, part=publish(b"edge-hoi/gate/zones/a/state", bytes((1 << 20) - 100)))),
    "mqtt: messages of QoS 2 that are never released": (
        MQTT,
        flood(CONNACK, part=b"".join(publish(b"a", bytes(1000), flags=0x35, mid=mid.to_bytes(2, "big")) for mid in range(1, 65_536, 3))),
    ),
    "mqtt: zones without end": (
        MQTT | {"qos": 0},
        zones,
    ),
    "mqtt: topics that are not asked for": (
        MQTT | {"qos": 0},
        once(
            CONNACK,
            *(publish(topic, b"{}") for topic in (b"a", b"#", b"a/b/c/d", b"edge-hoi/other/zones/x/state", b"edge-hoi//zones//state")),
        ),
    ),
    "mqtt: no MQTT": (MQTT, once(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "kafka: an answer of 2 GB": (KAFKA, flood(b"\x77\x35\x94\x00\x00\x00\x00\x01")),
    "kafka: an answer of 99 MB": (KAFKA, flood(b"\x05\xe6\x9e\xc0\x00\x00\x00\x01")),
    "webhook: a header without end": (WEBHOOK, flood(b"HTTP/1.1 200 OK\r\nX: ", part=b"x" * 65_536)),
    "webhook: headers without end": (WEBHOOK, flood(b"HTTP/1.1 200 OK\r\n", part=b"X: yyyyyyyyyy\r\n" * 4000)),
    "webhook: a body without end": (WEBHOOK, flood(b"HTTP/1.1 400 No\r\nContent-Length: 2000000000\r\n\r\n")),
    "webhook: a chunk of 2 GB": (WEBHOOK, flood(b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n77359400\r\n")),
    "webhook: informational responses without end": (WEBHOOK, flood(part=b"HTTP/1.1 100 Continue\r\n\r\n" * 2000)),
    "webhook: a status that drips": (WEBHOOK, drip(b"HTTP/1.1 200 O", seconds=0.3)),
}


def memory(process, field):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024


def address(settings, port):
    place = {"kafka": {"brokers": [f"127.0.0.1:{port}"]}, "webhook": {"url": f"http://127.0.0.1:{port}/"}}
    return place.get(settings["type"], {"host": "127.0.0.1", "port": port})


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_server_costs_neither_memory_nor_time_nor_a_traceback(serve, name, repository):
    settings, answer = ATTACKS[name]
    pytest.importorskip(MODULES[settings["type"]], reason=f"needs the extra: pip install '.[{settings['type']}]'")
    server = serve(answer)
    arguments = [json.dumps(settings | address(settings, server.port)), "3", json.dumps(address(settings, 9))]
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=repository / "tests"
    )
    try:
        assert process.stdout.readline() == "ready\n"
        before = memory(process, "VmRSS")
        began = time.monotonic()
        process.stdin.write("\n")
        process.stdin.flush()
        result = json.loads(process.stdout.readline())
        seconds = time.monotonic() - began
        grown = memory(process, "VmHWM") - before
    finally:
        process.kill()
        process.communicate()
    sys.stderr.write(f"{name}: {grown / 1e6:.1f} MB, {seconds:.1f} s, {server.sent / 1e6:.1f} MB sent: {result}\n")
    assert grown < ALLOWED_BYTES
    assert within(4 * TIMEOUT) > seconds
    assert result == "delivered" or re.match(r"Sink(Unavailable|Fault)Error|EventRefusedError", result)
    assert len(result) < 500
    assert result.isprintable()
    assert "internal error" not in result


def test_a_redis_server_that_repeats_the_password_makes_no_error_show_it(serve):
    pytest.importorskip("redis", reason="needs the extra: pip install '.[redis]'")
    password = 'kanari@/%41"bird'
    server = serve(lambda request: iter([b"-ERR no: \x1b[31m" + request.replace(b"\r\n", b" ") + b"\r\n"]))
    settings = {"type": "redis", "user": "me", "password": password, **address(REDIS, server.port)}
    with pytest.raises(SinkError) as caught, parse_config({"sinks": [settings]}, origin="test").sinks[0].make(SinkContext("site")):
        pass
    shown = "".join(traceback.format_exception(caught.value))
    assert "no:" in shown
    assert "kanari" not in shown
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
