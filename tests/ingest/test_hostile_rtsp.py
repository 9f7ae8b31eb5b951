"""RTSP servers that misbehave: what FFmpeg gets of them, and where it is led."""

import itertools
import socket
import struct

import pytest
from hostile_sources import OTHER_HOST, frames_of, read_in_a_child, refusal_of
from hypothesis import given
from hypothesis import strategies as st
from servers.raw_server import forward_to

from edge_hoi.errors import SourceError
from edge_hoi.ingest.rtsp_messages import RtspMessages

SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n"
PUBLIC = b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"


def rtsp_talk(**answers):
    """Return what talks RTSP: answers by method, to send as they are, or functions that write them; OK without content for the others."""

    def talk(handler):
        while request := handler.server.read_request(handler):
            method, _, headers = request
            head = b"RTSP/1.0 200 OK\r\nCSeq: %b\r\n" % headers["cseq"].encode()
            answer = answers.get(method, head + PUBLIC + b"\r\n")
            if callable(answer):
                answer(handler, head)
            else:
                handler.wfile.write(answer)

    return talk


def redirect(url):
    return b"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: %b\r\n\r\n" % url.encode()


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP"])
def test_redirect_to_another_host_is_refused_and_gets_no_connection(method, serve):
    other = serve(rtsp_talk(), host=OTHER_HOST)
    answers = {"DESCRIBE": describe(SDP)} | {method: redirect(f"rtsp://{OTHER_HOST}:{other.port}/camera")}
    server = serve(rtsp_talk(**answers))
    assert f"another host, {OTHER_HOST}" in refusal_of(f"rtsp://127.0.0.1:{server.port}/camera")
    assert server.connections == 1
    assert other.connections == 0


def test_redirect_to_an_allowed_host_is_followed_without_the_password(serve, rtsp_server, clip):
    camera = rtsp_server(clip).port
    seen = []

    def look(handler):
        seen.append(handler.request.recv(4096, socket.MSG_PEEK))
        forward_to(camera)(handler)

    other = serve(look, host=OTHER_HOST)
    server = serve(rtsp_talk(OPTIONS=redirect(f"rtsp://{OTHER_HOST}:{other.port}/camera")))
    url = f"rtsp://admin:secret@127.0.0.1:{server.port}/camera"
    assert frames_of(url, allowed_hosts=[OTHER_HOST])[:10] == list(range(10))
    assert len(seen) == 1
    assert b"Authorization" not in seen[0]


def test_redirects_within_a_host_are_followed_with_the_password_and_end(serve, rtsp_server, clip):
    camera = rtsp_server(clip, user="admin", password="canary")
    server = serve(rtsp_talk(OPTIONS=redirect(camera.open_url.replace("//", "//admin:canary@"))))
    assert frames_of(f"rtsp://127.0.0.1:{server.port}/camera")[:10] == list(range(10))
    loop = serve(rtsp_talk())
    loop.talk = rtsp_talk(OPTIONS=redirect(f"rtsp://127.0.0.1:{loop.port}/camera"))
    assert "redirects more than 5 times" in refusal_of(f"rtsp://127.0.0.1:{loop.port}/camera")
    assert loop.connections == 6


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80/", "file:///etc/passwd", "rtmp://127.0.0.1/", "//127.0.0.1/camera", "camera", "rtsp://[", ""]
)
def test_redirects_to_other_protocols_are_not_followed(url, serve):
    refusal_of(f"rtsp://127.0.0.1:{serve(rtsp_talk(OPTIONS=redirect(url))).port}/camera")


def endlessly(head, data=bytes(1 << 16)):
    def answer(handler, _):
        handler.wfile.write(head)
        while True:
            handler.wfile.write(data)

    return answer


FLOODS = {
    "body of two gigabytes": rtsp_talk(OPTIONS=endlessly(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 2000000000\r\n\r\n")),
    "header": rtsp_talk(OPTIONS=endlessly(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n", b"A: " + b"b" * 60000 + b"\r\n")),
    "line of a header": rtsp_talk(OPTIONS=endlessly(b"RTSP/1.0 200 OK\r\nA: ", b"b" * 60000)),
    "packets": rtsp_talk(OPTIONS=endlessly(b"", (b"$\0\xff\xff" + bytes(0xFFFF)) * 4)),
    "blank lines": rtsp_talk(OPTIONS=endlessly(b"", b"\r\n" * 30000)),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_floods_of_rtsp_end_within_a_limited_memory(flood, serve):
    outcome, frames, _, grown = read_in_a_child(f"rtsp://127.0.0.1:{serve(FLOODS[flood]).port}/camera")
    assert outcome in ("refused", "timeout", "unreachable", "not_video")
    assert frames == 0
    assert grown < 100, f"{flood}: {grown} MB"


def describe(sdp):
    return lambda handler, head: handler.wfile.write(head + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(sdp) + sdp)


def set_up(handler, head):
    handler.wfile.write(head + b"Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")


def play_fragments(handler, head):
    """Play a frame of H.264 in fragments (RFC 6184, section 5.8) of which none is the last."""
    handler.wfile.write(head + b"Session: 1\r\n\r\n")
    for number in itertools.count():
        packet = struct.pack(">BBHII2B", 0x80, 96, number % 65536, 9000, 1, 0x7C, 0x05 if number else 0x85) + b"\xaa" * 60000
        handler.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)


def test_frame_without_an_end_uses_a_limited_memory(serve):
    server = serve(rtsp_talk(DESCRIBE=describe(SDP), SETUP=set_up, PLAY=play_fragments))
    _, frames, _, grown = read_in_a_child(f"rtsp://127.0.0.1:{server.port}/camera")
    assert frames == 0
    assert grown < 400


def test_number_of_streams_is_limited(serve):
    stream = b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=%d\r\n"
    sdp = b"v=0\r\ns=x\r\nt=0 0\r\n" + b"".join(stream % number for number in range(1000))
    server = serve(rtsp_talk(DESCRIBE=describe(sdp), SETUP=set_up))
    with pytest.raises(SourceError):
        frames_of(f"rtsp://127.0.0.1:{server.port}/camera", open_timeout_seconds=2.0, read_timeout_seconds=1.0)
    assert len([method for method, *_ in server.requests if method == "SETUP"]) <= 256


def close(handler, _):
    handler.request.shutdown(socket.SHUT_RDWR)


def reset(handler, _):
    handler.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket(fileno=handler.request.detach()).close()


@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize("method", ["", "OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_server_that_closes_instead_of_replying_is_unreachable_so_that_it_is_retried(method, end, serve):
    answers = {"DESCRIBE": describe(SDP), "SETUP": set_up} | {method: end}
    server = serve(rtsp_talk(**answers) if method else lambda handler: end(handler, b""))
    with pytest.raises(SourceError) as caught:
        frames_of(f"rtsp://127.0.0.1:{server.port}/camera")
    assert (caught.value.code, caught.value.is_retryable) == ("unreachable", True)


# What is passed on


def passed(*parts):
    messages = RtspMessages("192.0.2.9")
    return b"".join(messages.take(part) for part in parts)


REPLY = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nabc"


def test_messages_and_packets_are_passed_on_once_they_are_whole():
    stream = REPLY + b"$\1\0\2xy" + b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 0\r\n\r\n"
    assert passed(stream) == stream
    assert passed(*(stream[index : index + 1] for index in range(len(stream)))) == stream
    assert passed(REPLY[:-1]) == b""
    assert passed(b"$\1\0\2x") == b""


def test_messages_are_written_as_they_were_understood():
    assert passed(b"\n\r\nRTSP/2.0  200  OK\nCSeq: 2\ncontent-length: 9\nContent-Length:  3\n\nabc") == REPLY
    assert passed(b"RTSP/1.0 200 OK\r\nContent-Length: nothing\r\n\r\n") == b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        (b"RTP/AVP/TCP;unicast;interleaved=0-1;source=10.0.0.1", b"RTP/AVP/TCP;unicast;interleaved=0-1"),
        (
            b"RTP/AVP;unicast; Source = 10.0.0.1;client_port=1-2;destination=10.0.0.2;server_port=3-4",
            b"RTP/AVP;unicast;client_port=1-2;server_port=3-4;source=192.0.2.9",
        ),
    ],
)
def test_udp_packets_go_to_the_server_itself_whatever_it_names(transport, expected):
    message = passed(b"RTSP/1.0 200 OK\r\nTransport: " + transport + b"\r\n\r\n")
    assert message == b"RTSP/1.0 200 OK\r\nTransport: " + expected + b"\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "stream",
    [
        b"RTSP/1.0 200 OK\r\nContent-Length: 1048577\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nA: " + b"b" * (64 << 10),
        b"RTSP/1.0 2000 OK\r\n\r\n",
        b"RTSP/1.0 OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n$\0\0\1\r\n\r\n",
    ],
)
def test_messages_that_are_too_large_or_ambiguous_are_refused(stream):
    with pytest.raises(ValueError, match=r"a header|a reply|a packet"):
        passed(stream)


def test_nothing_is_passed_on_after_a_redirect():
    messages = RtspMessages("192.0.2.9")
    assert messages.take(REPLY + redirect("rtsp://192.0.2.9/b") + REPLY) == REPLY
    assert messages.redirect == "rtsp://192.0.2.9/b"


@given(st.lists(st.binary(max_size=40) | st.sampled_from([REPLY, b"$\0\0\1a", b"\r\n", b"\n", b"RTSP/1.0 302 x\r\nLocation: a\r\n\r\n"])))
def test_any_bytes_are_passed_on_the_same_in_one_part_and_in_many(parts):
    def outcome(stream):
        messages, taken = RtspMessages("192.0.2.9"), b""
        try:
            for part in stream:
                taken += messages.take(part)
        except ValueError:
            return "refused"
        return taken, messages.redirect

    whole = b"".join(parts)
    in_many = outcome([whole[index : index + 1] for index in range(len(whole))])
    assert in_many == outcome([whole])
