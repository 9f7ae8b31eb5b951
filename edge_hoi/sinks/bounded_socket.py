"""A socket that limits what a server may send in answer to a request: client libraries receive whatever size it announces."""

import errno
import socket
import time
from typing import Any

from edge_hoi.regular_file import size_text


class BoundedSocket:
    """A connected socket, with all of its methods; the limits begin anew with each `sendall`."""

    def __init__(self, connected: socket.socket, *, max_bytes: int, seconds: float) -> None:
        """Limit the bytes of an answer, and the time from the request to the answer's last byte."""
        self._socket = connected
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._begin()

    def sendall(self, data: bytes, *arguments: int) -> None:
        """Send a request, or a part of one."""
        self._begin()
        self._socket.sendall(data, *arguments)

    def recv(self, *arguments: int) -> bytes:
        """Receive a part of the answer.

        Raises:
            TimeoutError: The answer takes too long.
            OSError: It is too large (`EMSGSIZE`), or the connection broke.
        """
        received = self._socket.recv(*arguments)
        self._count(len(received))
        return received

    def recv_into(self, *arguments: Any) -> int:  # noqa: ANN401 -- as `socket` has it
        """Receive a part of the answer; raise as `recv`."""
        size = self._socket.recv_into(*arguments)
        self._count(size)
        return size

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- any method
        return getattr(self._socket, name)

    def _begin(self) -> None:
        self._received, self._deadline = 0, time.monotonic() + self._seconds

    def _count(self, size: int) -> None:
        self._received += size
        if self._received > self._max_bytes:
            raise OSError(errno.EMSGSIZE, f"the server answers with more than {size_text(self._max_bytes)}")
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"the server's answer takes more than {self._seconds:g} s")
