"""Write FFmpeg's RTSP requests as if it were connected to the camera itself, not to the relay: some servers check the name in them.

The request line holds the address, and so does the hash of Digest (RFC 2617, section 3.2.2), which is computed again.
"""

import hashlib
import re
from urllib.parse import SplitResult, unquote_to_bytes
from urllib.request import parse_http_list, parse_keqv_list

from edge_hoi.ingest.rtsp_messages import cut

_PACKET_HEADER_BYTES = 4
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_DIGEST = re.compile(rb"^Authorization: Digest (.*?)\r?$", re.MULTILINE)
_RESPONSE = re.compile(rb'(?<=response=")[^"]*')


class RtspRequests:
    """Cuts requests and packets off what FFmpeg sends."""

    def __init__(self, relay: str, camera: SplitResult, port: int) -> None:
        """Start before the first byte.

        Args:
            relay: The address that FFmpeg knows: `rtsp://HOST:PORT`.
            camera: The camera's URL, with its password.
            port: The camera's port, which FFmpeg always names.
        """
        host = re.sub(r":\d*$", "", camera.netloc.rpartition("@")[2])
        self._camera = f"{camera.scheme}://{host}:{port}".encode()
        self._relay = re.compile(rb"%b(?!\d)" % re.escape(relay.encode()))
        self._password = unquote_to_bytes(camera.password or "")
        self._received = bytearray()

    def take(self, data: bytes) -> bytes:
        """Return all whole requests and packets that are known with this data."""
        self._received += data
        passed = bytearray()
        while message := self._next():
            passed += message
        return bytes(passed)

    def _next(self) -> bytes:
        if self._received[:1] == b"$":
            size = _PACKET_HEADER_BYTES + int.from_bytes(self._received[2:4], "big")
            return cut(self._received, size) if len(self._received) >= _PACKET_HEADER_BYTES else b""
        end = self._received.find(b"\r\n\r\n") + 4
        if end < 4:
            return b""
        length = _LENGTH.search(self._received, 0, end)
        message = cut(self._received, end + (int(length[1]) if length else 0))
        return self._addressed(message[:end]) + message[end:]

    def _addressed(self, head: bytes) -> bytes:
        addressed = self._relay.sub(lambda _: self._camera, head)
        digest = _DIGEST.search(addressed)
        if digest is None or addressed == head:
            return addressed
        try:
            response = self._response(head.partition(b" ")[0], parse_keqv_list(parse_http_list(digest[1].decode("latin-1"))))
        except (LookupError, ValueError):  # FFmpeg writes the server's realm and nonce with any quotes that they contain
            return addressed
        return addressed[: digest.start()] + _RESPONSE.sub(response, digest[0], count=1) + addressed[digest.end() :]

    def _response(self, method: bytes, fields: dict[str, str]) -> bytes:
        """Compute the response to a challenge, of those kinds that FFmpeg knows."""
        field = {name: value.encode("latin-1") for name, value in fields.items()}
        secret = _md5(field["username"], field["realm"], self._password)
        if fields.get("algorithm") == "MD5-sess":
            secret = _md5(secret, field["nonce"], field["cnonce"])
        once = [field[name] for name in (("nonce", "nc", "cnonce", "qop") if "qop" in field else ("nonce",))]
        return _md5(secret, *once, _md5(method, field["uri"]))


def _md5(*parts: bytes) -> bytes:
    return hashlib.md5(b":".join(parts), usedforsecurity=False).hexdigest().encode()
