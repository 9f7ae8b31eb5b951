"""A camera on this machine that shows a clip over RTSP, and has the faults of real ones when it is told to.

RTSP over TCP (RFC 2326), H.264 in RTP (RFC 6184), PCMU sound (RFC 3551).
"""

import base64
import itertools
import random
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext

_VIDEO_CHANNEL, _SOUND_CHANNEL = 0, 2
_VIDEO_CLOCK, _SOUND_CLOCK = 90_000, 8_000
_SOUND_SECONDS = 0.02
_FRAGMENT_BYTES = 1200
_NAL_START = re.compile(b"\0\0\0?\1")
_FRAGMENT_UNIT = 28
_NTP_EPOCH = 2_208_988_800  # 1900 in seconds before 1970


@dataclass
class Faults:
    """What is wrong with a camera, now; the defaults are a sound one.

    Attributes:
        is_silent: It sends no video; sound goes on.
        lost: Share of the frames, but key frames, that are not sent.
        flipped: Share of the frames in which a bit is wrong.
        jump_seconds: Added to the time stamps of the video.
        stamped_pace: How fast its time stamps run: 0.5 for a camera that stamps 30 frames a second and sends 15.
        clock_error: Seconds that its clock is ahead of this machine's, in its RTCP reports; None if it sends none.
        answers: By RTSP method: a status to answer with, or `close`, `reset` or `silence`.
    """

    is_silent: bool = False
    lost: float = 0.0
    flipped: float = 0.0
    jump_seconds: float = 0.0
    stamped_pace: float = 1.0
    clock_error: float | None = None
    answers: dict[str, int | str] = field(default_factory=dict)


class FaultyCamera:
    """Serves a clip of H.264, again and again, to each client from its start; a context manager.

    Attributes:
        faults: What is wrong with it; may be changed at any time.
        password: What a client must know, as user `viewer`; None to let in everyone.
        port: Where it listens, the same after each start.
        sessions: How often it began to play.
        sent: Frames that it sent.
    """

    def __init__(self, clip: Path, *, password: str | None = None, has_sound: bool = False, seed: int = 0) -> None:
        """Read the clip, whose frame rate it has; `start` starts it.

        Args:
            clip: A file with H.264.
            password: See the class.
            has_sound: Whether it also sends sound, which is silence.
            seed: Decides which frames are lost and which bits are flipped.
        """
        self.faults = Faults()
        self.password = password
        self.sessions = 0
        self.sent = 0
        self.port = 0
        self._has_sound = has_sound
        self._random = random.Random(seed)  # noqa: S311 -- no secret depends on it
        self._server: _Server | None = None
        self._counting = threading.Lock()  # each client has threads of its own
        self.show(clip)

    @property
    def url(self) -> str:
        """Its address, with the password."""
        user = "" if self.password is None else f"viewer:{self.password}@"
        return f"rtsp://{user}127.0.0.1:{self.port}/camera"

    def show(self, clip: Path) -> None:
        """Show another clip, of another resolution perhaps, to those who watch as well."""
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            self._fps = float(stream.average_rate or 25)
            annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
            packets = [out for packet in container.demux(stream) for out in annex_b.filter(packet if packet.size else None)]
            seconds = [float((packet.pts or 0) * packet.time_base) for packet in packets]
        self._frames = [
            (second, [unit for unit in _NAL_START.split(bytes(packet)) if unit]) for second, packet in zip(seconds, packets, strict=True)
        ]

    def start(self) -> None:
        """Start it, on the port that it had before."""
        self._server = _Server(self.port, self._converse)
        self.port = self._server.server_address[1]

    def stop(self) -> None:
        """Turn it off, as by a power cut."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def cut(self) -> None:
        """Close all connections; it can be connected to at once."""
        if self._server is not None:
            self._server.cut()

    def __enter__(self) -> "FaultyCamera":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _converse(self, handler: socketserver.StreamRequestHandler) -> None:
        """Answer the requests of one connection."""
        connection = _Connection(handler.request)
        while (request := _read_request(handler)) is not None:
            method, headers = request
            answer = self.faults.answers.get(method)
            if answer == "silence":
                continue
            if answer == "reset":
                handler.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if answer in ("close", "reset"):
                return
            is_known = self.password is None or headers.get("authorization") == _basic(self.password)
            if isinstance(answer, int):
                connection.reply(headers, answer)
            elif not is_known and method != "OPTIONS":
                connection.reply(headers, 401, 'WWW-Authenticate: Basic realm="camera"')
            elif method == "DESCRIBE":
                connection.reply(headers, 200, "Content-Type: application/sdp", body=self._description())
            elif method == "SETUP":
                connection.reply(headers, 200, "Session: 1", f"Transport: {headers.get('transport', '')}")
            elif method == "PLAY":
                connection.reply(headers, 200, "Session: 1")
                self._play(connection)
            else:
                connection.reply(headers, 200, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")

    def _description(self) -> str:
        units = {unit[0] & 31: unit for unit in self._frames[0][1]}
        sets = ",".join(base64.b64encode(units[kind]).decode() for kind in (7, 8) if kind in units)
        lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "t=0 0", "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"]
        lines += [f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}", "a=control:video"]
        lines += ["m=audio 0 RTP/AVP 0", "a=control:sound"] if self._has_sound else []
        return "\r\n".join([*lines, ""])

    def _play(self, connection: "_Connection") -> None:
        with self._counting:
            self.sessions += 1
        for stream in (self._send_video, self._send_sound)[: 1 + self._has_sound]:
            threading.Thread(target=_until_closed, args=(stream, connection), daemon=True).start()

    def _send_video(self, connection: "_Connection") -> None:
        packets = itertools.count()
        started = time.monotonic()
        for number in itertools.count():
            frames, faults = self._frames, self.faults
            _sleep_until(started + number / self._fps)
            seconds, frame = frames[number % len(frames)]
            is_key = any(unit[0] & 31 == 5 for unit in frame)
            if faults.is_silent or (not is_key and self._random.random() < faults.lost):
                continue
            if self._random.random() < faults.flipped:
                frame = [*frame[:-1], self._with_wrong_bit(frame[-1])]
            seconds += number // len(frames) * len(frames) / self._fps
            timestamp = round((seconds * faults.stamped_pace + faults.jump_seconds) * _VIDEO_CLOCK)
            if faults.clock_error is not None and is_key:
                connection.report(_VIDEO_CHANNEL, time.time() + faults.clock_error, timestamp)
            pieces = [piece for unit in frame for piece in _pieces(unit)]
            for place, piece in enumerate(pieces, 1):
                marker = 0x80 if place == len(pieces) else 0
                connection.send(_VIDEO_CHANNEL, marker | 96, next(packets), timestamp, piece)
            with self._counting:
                self.sent += 1

    def _with_wrong_bit(self, unit: bytes) -> bytes:
        place = self._random.randrange(8 * (len(unit) // 2), 8 * len(unit))
        wrong = bytearray(unit)
        wrong[place // 8] ^= 1 << place % 8
        return bytes(wrong)

    def _send_sound(self, connection: "_Connection") -> None:
        started = time.monotonic()
        samples = round(_SOUND_SECONDS * _SOUND_CLOCK)
        for number in itertools.count():
            _sleep_until(started + number * _SOUND_SECONDS)
            connection.send(_SOUND_CHANNEL, 0, number, number * samples, b"\xff" * samples)


class _Connection:
    """Writes replies and packets, of several threads, to one client."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._sending = threading.Lock()

    def reply(self, request: dict[str, str], status: int, *headers: str, body: str = "") -> None:
        head = [f"RTSP/1.0 {status} {'OK' if status == 200 else 'Refused'}", f"CSeq: {request.get('cseq', '0')}", *headers]
        with self._sending:
            self._client.sendall("\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode())

    def send(self, channel: int, kind: int, number: int, timestamp: int, payload: bytes) -> None:
        self._write(channel, struct.pack(">BBHII", 0x80, kind, number & 0xFFFF, timestamp & 0xFFFFFFFF, 7 + channel) + payload)

    def report(self, channel: int, clock_seconds: float, timestamp: int) -> None:
        """Send an RTCP sender report (RFC 3550, section 6.4.1): the camera's clock at a time stamp."""
        ntp = round((clock_seconds + _NTP_EPOCH) * 2**32)
        self._write(channel + 1, struct.pack(">BBHIQIII", 0x80, 200, 6, 7 + channel, ntp, timestamp & 0xFFFFFFFF, 0, 0))

    def _write(self, channel: int, packet: bytes) -> None:
        with self._sending:
            self._client.sendall(struct.pack(">cBH", b"$", channel, len(packet)) + packet)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, converse: Callable[[socketserver.StreamRequestHandler], None]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    converse(self)

        self._clients: set[socket.socket] = set()
        self._changing = threading.Lock()  # they come and go in threads of their own
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        with self._changing:
            self._clients.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        with self._changing:
            self._clients.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """Print nothing of clients that went away."""

    def cut(self) -> None:
        with self._changing:
            clients = tuple(self._clients)
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.cut()


def _read_request(handler: socketserver.StreamRequestHandler) -> tuple[str, dict[str, str]] | None:
    """Return the method and the headers of the next request, without packets before it; None at the end."""
    while (first := handler.rfile.read(1)) == b"$":
        handler.rfile.read(int.from_bytes(handler.rfile.read(3)[1:], "big"))
    method = (first + handler.rfile.readline()).decode("latin-1").partition(" ")[0]
    headers = {}
    while line := handler.rfile.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return (method, headers) if method else None


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"viewer:{password}".encode()).decode()


def _pieces(unit: bytes) -> list[bytes]:
    """Cut a NAL unit into fragments if it is too long for a packet (RFC 6184, section 5.8)."""
    if len(unit) <= _FRAGMENT_BYTES:
        return [unit]
    starts = range(1, len(unit), _FRAGMENT_BYTES)
    indicator, kind = unit[0] & 0xE0 | _FRAGMENT_UNIT, unit[0] & 31
    marks = [kind | (0x80 if start == starts[0] else 0) | (0x40 if start == starts[-1] else 0) for start in starts]
    return [bytes([indicator, mark]) + unit[start : start + _FRAGMENT_BYTES] for start, mark in zip(starts, marks, strict=True)]


def _until_closed(stream: Callable[[_Connection], None], connection: _Connection) -> None:
    with suppress(OSError):
        stream(connection)


def _sleep_until(moment: float) -> None:
    if (seconds := moment - time.monotonic()) > 0:
        time.sleep(seconds)
