"""Read what an RTSP server sends before it plays, and write it as it was understood, so that FFmpeg understands the same.

RFC 2326, sections 4, 10.12 (interleaved packets), 11.3 (redirects) and 12.39 (Transport).
"""

import re

_PACKET_HEADER_BYTES = 4
_MAX_HEADER_BYTES = 64 << 10
_MAX_BODY_BYTES = 1 << 20
_BLANK_LINES = re.compile(rb"[\r\n]+")
_HEADER_END = re.compile(rb"\n\r*\n")
_STATUS = re.compile(rb"RTSP/\S*[ \t]+(\d{3})\b[ \t]*(.*)")
_LENGTH = re.compile(rb"content-length:\s*(\d{1,18})", re.IGNORECASE)
_LOCATION = re.compile(rb"location:\s*(\S+)", re.IGNORECASE)
_OTHER_ADDRESS = re.compile(rb";[^;,]*(?:source|destination)[^;,]*", re.IGNORECASE)


class RtspMessages:
    """Cuts messages and packets off a stream of bytes.

    Attributes:
        redirect: The address of a redirect, after which nothing more is passed on; None without one.
        refusal: Status of the last reply if it is an error, else None; not its reason, which may repeat the address with its secrets.
        is_last: Whether the next reply that is no error is the last one that is read; set it when FFmpeg asks the server to play.
        has_ended: Whether that reply was read, or none that follows matters.
    """

    def __init__(self, peer: str) -> None:
        """Start before the first byte.

        Args:
            peer: IP address of the server, from which alone packets may come.
        """
        self.redirect: str | None = None
        self.refusal: int | None = None
        self.is_last = False
        self.has_ended = False
        self._peer = peer.encode()
        self._received = bytearray()

    def take(self, data: bytes) -> bytes:
        """Return all whole messages that are known with this data, and all data once `has_ended`.

        Raises:
            ValueError: A message is too large, or ambiguous.
        """
        self._received += data
        passed = bytearray()
        while self.redirect is None and not self.has_ended and (message := self._next()):
            passed += message
        return bytes(passed + self.rest() if self.has_ended else passed)

    def rest(self) -> bytes:
        """Return the begin of a message that is not whole yet, unread."""
        rest = bytes(self._received)
        self._received.clear()
        return rest

    def _next(self) -> bytes:
        if blank := _BLANK_LINES.match(self._received):
            del self._received[: blank.end()]
        if self._received[:1] == b"$":
            size = _PACKET_HEADER_BYTES + int.from_bytes(self._received[2:4], "big")
            return cut(self._received, size) if len(self._received) >= _PACKET_HEADER_BYTES else b""
        end = _HEADER_END.search(self._received)
        if (len(self._received) if end is None else end.start()) > _MAX_HEADER_BYTES:
            raise ValueError(f"a header of more than {_MAX_HEADER_BYTES >> 10} KiB")
        if end is None:
            return b""
        start, *lines = bytes(self._received[: end.start()]).replace(b"\r", b"").split(b"\n")
        lengths = [int(match[1]) for line in lines if (match := _LENGTH.match(line))]
        length = lengths[-1] if lengths else 0
        if length > _MAX_BODY_BYTES:
            raise ValueError(f"a reply of {length} bytes")
        message = cut(self._received, end.end() + length)
        return self._written(start.strip(), lines, message[end.end() :]) if message else b""

    def _written(self, start: bytes, lines: list[bytes], body: bytes) -> bytes:
        if start.upper().startswith(b"RTSP/"):
            status = _STATUS.match(start)
            if status is None:
                raise ValueError("a reply without a status")
            if status[1].startswith(b"3"):
                self.redirect = next((match[1].decode("latin-1") for line in lines if (match := _LOCATION.match(line))), "")
                return b""
            self.refusal = int(status[1]) if status[1][:1] in b"45" else None
            self.has_ended = self.is_last and self.refusal is None
            start = b"RTSP/1.0 %b %b" % (status[1], status[2])
        kept = [self._with_peer(line) for line in lines if not _LENGTH.match(line) and not line.lower().startswith(b"content-length:")]
        if any(line.startswith(b"$") for line in lines):  # which FFmpeg reads as a packet
            raise ValueError("a packet within a header")
        return b"\r\n".join([start, *kept, b"Content-Length: %d" % len(body), b"", body])

    def _with_peer(self, line: bytes) -> bytes:
        """In a line about the transport, name the server as the source of UDP packets, to which FFmpeg answers, and no other address."""
        if not line.lower().startswith(b"transport:"):
            return line
        line = _OTHER_ADDRESS.sub(b"", line)
        return b"%b;source=%b" % (line, self._peer) if b"client_port" in line else line


def cut(received: bytearray, size: int) -> bytes:
    """Cut bytes off what was received; none if there are fewer."""
    if len(received) < size:
        return b""
    data = bytes(received[:size])
    del received[:size]
    return data
