"""RTSP servers that insist on their own name, in the request line and in the hash of Digest."""

import hashlib
import re
from urllib.parse import urlsplit

import pytest
from hostile_sources import frames_of
from servers.raw_server import forward_to

from edge_hoi.errors import SourceError
from edge_hoi.ingest.rtsp_requests import RtspRequests

RELAY = "rtsp://127.0.0.1:40123"
CHALLENGE = b'WWW-Authenticate: Digest realm="camera 1", nonce="f00d"%b\r\n'
SDP = b"v=0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n"


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def digest_server(kind, passed):
    """Return what lets in only `admin` with `p@s/s`, by a response to the address of the request."""

    def talk(handler):
        while request := handler.server.read_request(handler):
            method, address, headers = request
            head = b"RTSP/1.0 200 OK\r\nCSeq: %b\r\n" % headers["cseq"].encode()
            field = dict(re.findall(r'(\w+)="?([^",]*)', headers.get("authorization", "")))
            secret = md5("admin:camera 1:p@s/s")
            if kind == "MD5-sess":
                secret = md5(f"{secret}:f00d:{field.get('cnonce')}")
            once = f"f00d:{field.get('nc')}:{field.get('cnonce')}:auth" if kind else "f00d"
            if field.get("uri") != address or field.get("response") != md5(f"{secret}:{once}:{md5(f'{method}:{address}')}"):
                extra = b', qop="auth", algorithm="%b"' % kind.encode() if kind else b""
                handler.wfile.write(head.replace(b"200 OK", b"401 Unauthorized") + CHALLENGE % extra + b"\r\n")
                continue
            passed.append((method, address))
            body = SDP if method == "DESCRIBE" else b""
            more = b"Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n" if method == "SETUP" else b"Session: 1\r\n"
            handler.wfile.write(head + more + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return talk


@pytest.mark.parametrize("kind", ["", "MD5", "MD5-sess"])
def test_digest_is_computed_for_the_address_of_the_camera(kind, serve):
    passed = []
    server = serve(digest_server(kind, passed))
    with pytest.raises(SourceError) as caught:
        frames_of(f"rtsp://admin:p%40s%2Fs@127.0.0.1:{server.port}/camera", read_timeout_seconds=0.5, open_timeout_seconds=2.0)
    assert caught.value.code == "timeout"  # it lets in, and sends no video
    own = f"rtsp://127.0.0.1:{server.port}/camera"
    methods = [("OPTIONS", own), ("DESCRIBE", own), ("SETUP", f"{own}/trackID=0"), ("PLAY", own)]
    assert [step for step in passed if step in methods] == methods


def test_wrong_password_is_still_refused(serve):
    server = serve(digest_server("MD5", []))
    with pytest.raises(SourceError) as caught:
        frames_of(f"rtsp://admin:wrong@127.0.0.1:{server.port}/camera")
    assert caught.value.code == "unauthorized"


class Recorded:
    """A socket that keeps what it received."""

    def __init__(self, connection, received):
        self.connection, self.received = connection, received

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def recv(self, size):
        data = self.connection.recv(size)
        self.received += data
        return data


def test_camera_is_named_in_every_request_until_the_end(rtsp_server, clip, serve):
    sent = bytearray()
    forward = forward_to(rtsp_server(clip).port)

    def talk(handler):
        handler.request = Recorded(handler.request, sent)
        forward(handler)

    server = serve(talk)
    assert frames_of(f"rtsp://localhost:{server.port}/camera")[:10] == list(range(10))
    addresses = re.findall(rb"(?m)^[A-Z_]+ (\S+) RTSP/1.0\r$", bytes(sent))
    assert len(addresses) >= 4
    assert all(address.startswith(b"rtsp://localhost:%d/camera" % server.port) for address in addresses)


# What is written


def written(*parts, camera="rtsp://user@door:8554/a", port=8554):
    requests = RtspRequests(RELAY, urlsplit(camera), port)
    return b"".join(requests.take(part) for part in parts)


REQUEST = f"OPTIONS {RELAY}/a RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("camera", "port", "expected"),
    [
        ("rtsp://user@door:8554/a", 8554, b"rtsp://door:8554/a"),
        ("RTSP://door/a", 554, b"rtsp://door:554/a"),
        ("rtsps://[::1]/a", 322, b"rtsps://[::1]:322/a"),
        ("rtsp://door:/a", 554, b"rtsp://door:554/a"),
    ],
)
def test_address_is_that_which_ffmpeg_writes_without_a_relay(camera, port, expected):
    assert written(REQUEST, camera=camera, port=port) == b"OPTIONS %b RTSP/1.0\r\nCSeq: 1\r\n\r\n" % expected


@pytest.mark.parametrize("realm", ['a", b', 'a", b=', 'a", username="', 'a" b="c'])
def test_realms_with_quotes_of_a_server_break_nothing(realm):
    head = f'OPTIONS {RELAY}/a RTSP/1.0\r\nAuthorization: Digest username="u", realm="{realm}", uri="{RELAY}/a", response="0"\r\n\r\n'
    assert written(head.encode()) == head.replace(RELAY, "rtsp://door:8554").encode()


def test_packets_bodies_and_other_addresses_are_passed_on_as_they_are():
    packet = b"$\1\0\x16" + RELAY.encode()
    body = b"SET_PARAMETER rtsp://door:8554/a/ RTSP/1.0\r\nContent-Length: 22\r\n\r\n" + RELAY.encode()
    others = f"OPTIONS {RELAY}4/a RTSP/1.0\r\n\r\n".encode() + b'TEARDOWN rtsp://b/ RTSP/1.0\r\nAuthorization: Digest response="a"\r\n\r\n'
    stream = packet + body + others
    assert written(stream) == stream
    assert written(*(stream[index : index + 1] for index in range(len(stream)))) == stream
    assert written(REQUEST[:-1]) == b""
    assert written(packet[:-1]) == b""
