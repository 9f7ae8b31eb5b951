"""RTMP from a real server: frames, faults, certificates, reconnections, and no secret in any text."""

import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
import pytest
from busy_machine import within
from numbered_clips import number_of, write_clip
from servers.certificates import HAS_OPENSSL, make_certificate
from servers.raw_server import forward_to
from servers.rtmp_server import HAS_FFMPEG, RtmpServer, is_open
from servers.running import SilentServer

from edge_hoi.errors import SourceError
from edge_hoi.ingest import RetryPolicy, SourceReader, open_source
from edge_hoi.ingest.remote_access import RemoteAccess
from edge_hoi.ingest.rtmp_relay import RtmpRelay, server_address
from edge_hoi.ingest.source_errors import ffmpeg_source_error
from edge_hoi.ingest.url import SourceKind

needs_ffmpeg = pytest.mark.skipif(not HAS_FFMPEG, reason="needs FFmpeg's command as the server: apt-get install ffmpeg")


@pytest.fixture(scope="module")
def flv(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.flv", frames=500)


@pytest.fixture
def server(flv):
    server = RtmpServer(flv)
    yield server
    server.stop()


@needs_ffmpeg
def test_frames_come_live_with_their_times_and_no_secret_is_shown(server):
    url = server.url.replace("//", "//viewer:canary-31@") + "?user=admin&password=canary-32"
    with open_source(url, source_id="door") as source:
        frames = [frame for frame, _ in zip(source, range(100), strict=False)]
        assert "canary" not in repr(source.info)
    assert (source.info.is_live, source.info.is_finite, source.info.is_tls_verified) == (True, False, None)
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 100))
    assert [frame.pts_seconds for frame in frames] == pytest.approx(np.arange(100) / 25, abs=0.04)
    assert {frame.clock.source for frame in frames} == {"arrival"}


@needs_ffmpeg
def test_a_server_that_goes_and_comes_back_is_read_on(server):
    retries = RetryPolicy(0.1, 0.2, is_patient=True)
    with SourceReader(lambda: open_source(server.url, source_id="door"), source_id="door", retries=retries) as reader:
        before = [reader.mailbox.get(60) for _ in range(5)][-1]
        server.stop()
        lost_at = time.monotonic()
        while reader.error is None:
            assert time.monotonic() - lost_at < within(10)
            time.sleep(0.05)
        server.start()
        back_at = time.monotonic()
        while not reader.reconnections:
            assert time.monotonic() - back_at < within(10)
            time.sleep(0.05)
        after = reader.mailbox.get(60)
    assert after.index > before.index
    ahead = (after.pts_seconds - before.pts_seconds) - (after.arrived_seconds - before.arrived_seconds)
    assert -0.1 < ahead < within(4.5)  # what was sent while each of both connections was opened, 2 s, arrived at once


@needs_ffmpeg
def test_a_server_that_hangs_is_noticed(server):
    with open_source(server.url, source_id="door", read_timeout_seconds=2) as source:
        frames = iter(source)
        for _ in range(60):
            next(frames)
        server.freeze()
        began = time.monotonic()
        with pytest.raises(SourceError, match="no data came in time") as caught:
            list(frames)
        assert 1.5 < time.monotonic() - began < within(4)
    assert caught.value.code == "timeout"


def test_a_server_that_says_nothing_is_noticed():
    silent = SilentServer()
    began = time.monotonic()
    with pytest.raises(SourceError) as caught:
        open_source(f"rtmp://127.0.0.1:{silent.port}/live/camera", source_id="door", open_timeout_seconds=1)
    silent.stop()
    assert caught.value.code == "timeout"
    assert time.monotonic() - began < within(3)


def test_a_server_that_is_not_there_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match=r"rtmp://127\.0\.0\.1:\d+/live/\*\*\*: no connection") as caught:
        open_source(f"rtmp://127.0.0.1:{port}/live/canary-33", source_id="door")
    assert (caught.value.code, caught.value.is_retryable) == ("unreachable", True)


@needs_ffmpeg
@pytest.mark.skipif(not HAS_OPENSSL, reason="needs openssl to make a certificate")
def test_certificates_of_rtmps_are_verified(server, serve, tmp_path):
    certificate, key = make_certificate(tmp_path, "camera")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    url = f"rtmps://localhost:{serve(forward_to(server.port), tls=tls).port}/live/camera"
    with pytest.raises(SourceError, match="certificate is not trusted") as caught:
        open_source(url, source_id="door")
    assert caught.value.code == "refused"
    with open_source(url, source_id="door", ca_file=str(certificate)) as source:
        assert source.info.is_tls_verified is True
        assert len([frame for frame, _ in zip(source, range(30), strict=False)]) == 30


@pytest.mark.parametrize("is_broken", [False, True], ids=["closed", "broken"])
def test_ffmpeg_may_connect_again_to_show_a_password_and_no_more_once_it_is_closed(is_broken, serve):
    def echo(handler):
        handler.wfile.write(handler.request.recv(100).upper())
        handler.request.recv(100)

    url = f"rtmp://viewer:canary-34@127.0.0.1:{serve(echo).port}/live/camera"
    relay = RtmpRelay(url, RemoteAccess(url))
    relay.start(10)
    place, port = relay.location.rpartition("@")[2].partition("/")[0].split(":")
    answers = []
    for _ in range(3):
        with socket.create_connection((place, int(port)), 10) as client:
            client.sendall(b"hello")
            answers.append(client.recv(100))
            if is_broken:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing it sends RST
    relay.close()
    assert answers == [b"HELLO"] * 3
    ended_at = time.monotonic() + within(5)
    while is_open(int(port)):
        assert time.monotonic() < ended_at
        time.sleep(0.05)


def test_a_server_to_which_ffmpeg_does_not_connect_is_left(serve):
    ended = threading.Event()

    def wait(handler):
        handler.request.recv(1)
        ended.set()

    url = f"rtmp://127.0.0.1:{serve(wait).port}/live/camera"
    relay = RtmpRelay(url, RemoteAccess(url))
    relay.start(10)
    server = relay._server
    relay.close()
    assert ended.wait(within(5))
    ended_at = time.monotonic() + within(5)
    while server.fileno() >= 0:
        assert time.monotonic() < ended_at
        time.sleep(0.05)


REJECTIONS = (
    "code=403 need auth; authmod=adobe",
    "?reason=needauth&user=viewer&salt=a&challenge=b&opaque=c",
    "?reason=authfailed&opaque=c",
)


def test_a_refused_password_is_told_from_a_server_that_is_not_there(serve):
    rejections = iter(REJECTIONS)

    def text(value):
        return struct.pack(">H", len(value)) + value

    def reject(handler):
        """Answer as a server with Adobe's authentication; see RTMP 1.0 (2012), sections 5.2, 5.3 and 7.2.1.1."""
        handler.rfile.read(1537)
        handler.wfile.write(b"\x03" + bytes(2 * 1536))
        handler.rfile.read(1536)
        handler.request.recv(4096)
        reason = f"[ AccessManager.Reject ] : [ authmod=adobe ] : {next(rejections)}".encode()
        fields = {b"level": b"error", b"code": b"NetConnection.Connect.Rejected", b"description": reason}
        body = b"\x02" + text(b"_error") + b"\0" + struct.pack(">d", 1) + b"\x05\x03"
        body += b"".join(text(name) + b"\x02" + text(value) for name, value in fields.items()) + b"\0\0\x09"
        chunks = b"\xc3".join(body[start : start + 128] for start in range(0, len(body), 128))
        handler.wfile.write(b"\x03\0\0\0" + len(body).to_bytes(3, "big") + b"\x14\0\0\0\0" + chunks)
        handler.request.recv(4096)

    server = serve(reject)
    with pytest.raises(SourceError, match="the user name or the password was refused") as caught:
        open_source(f"rtmp://viewer:canary-36@127.0.0.1:{server.port}/live/camera", source_id="door")
    assert (caught.value.code, caught.value.is_retryable, server.connections) == ("unauthorized", False, 3)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "application"),
    [("live/camera", "live"), ("live/site/camera", "live/site"), ("live/site/a/b", "live/site"), ("bcs/main.bcs?user=a&password=b", "bcs")],
)
def test_the_server_is_told_its_own_address_without_secrets(path, application):
    assert server_address(f"rtmp://viewer:pw@camera.example:1936/{path}") == f"rtmp://camera.example:1936/{application}"


def test_an_ffmpeg_without_the_protocol_is_said():
    error = ffmpeg_source_error(av.error.ProtocolNotFoundError(0, "x"), "rtmp://camera/live", SourceKind.RTMP)
    assert str(error).startswith("Cannot read rtmp://camera/live: this FFmpeg cannot read rtmp; use PyAV's own FFmpeg")
    assert (error.code, error.is_retryable) == ("unsupported", False)


# SRT, which this FFmpeg does not have


def has_srt():
    return HAS_FFMPEG and " srt" in subprocess.run(["ffmpeg", "-protocols"], capture_output=True, text=True).stdout


def wait_until_bound(port):
    """Wait until somebody listens to a UDP port."""
    ended_at = time.monotonic() + within(10)
    while f":{port:04X} " not in Path("/proc/net/udp").read_text():
        assert time.monotonic() < ended_at
        time.sleep(0.05)


def test_srt_is_refused_with_the_way_to_read_it():
    with pytest.raises(SourceError, match=r"not srt; .* or pipe it: ffmpeg -i ADDRESS -c copy -f mpegts - \| edge-hoi run -") as caught:
        open_source("srt://127.0.0.1:9000?passphrase=canary-35", source_id="door")
    assert "canary-35" not in str(caught.value)


@pytest.mark.skipif(not has_srt(), reason="needs FFmpeg's command with SRT: apt-get install ffmpeg")
def test_srt_can_be_read_through_a_pipe(flv):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        url = f"srt://127.0.0.1:{free.getsockname()[1]}"
    served = ["ffmpeg", "-v", "quiet", "-re", "-i", str(flv), "-c", "copy", "-f", "mpegts", f"{url}?mode=listener"]
    piped = ["ffmpeg", "-v", "quiet", "-i", url, "-c", "copy", "-f", "mpegts", "-"]
    read = "from edge_hoi.ingest import open_source\nframes = iter(open_source('-', source_id='stdin', is_live=True))\n"
    read += "print([next(frames).index for _ in range(50)])"
    with ExitStack() as stack:
        server = stack.enter_context(subprocess.Popen(served, stdin=subprocess.DEVNULL))
        stack.callback(server.kill)
        wait_until_bound(int(url.rpartition(":")[2]))
        pipe = stack.enter_context(subprocess.Popen(piped, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        stack.callback(pipe.kill)
        shown = subprocess.run([sys.executable, "-c", read], stdin=pipe.stdout, capture_output=True, text=True, timeout=120)
    assert shown.stdout.strip() == str(list(range(50)))
