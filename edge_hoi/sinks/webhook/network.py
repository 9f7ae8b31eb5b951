"""Connections for a sink's own thread whose waits all end at one moment: that for the name, the connection, TLS, the request, its answer.

httpx limits each wait, not their sum, and its asyncio side, which could be limited as a whole, takes almost four times the processor time
for a request. The network below its connections can be replaced: https://www.encode.io/httpcore/network-backends/.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any

import httpcore

_WRITTEN_AT_ONCE = 16 * 1024
"""Bytes; a server that reads slowly is looked at again after each."""


class BoundedNetwork(httpcore.NetworkBackend):
    """Makes connections. Before each exchange `allow` says how long all of its waits may take together."""

    def __init__(self) -> None:
        """Allow nothing yet."""
        self._plain = httpcore.SyncBackend()
        self._ends_at = 0.0

    def allow(self, seconds: float) -> None:
        """Let the next waits take so long, together.

        Args:
            seconds: From now on.
        """
        self._ends_at = time.monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """Give the longest time for a single wait.

        Args:
            timeout: Its own limit in seconds, if it has one.

        Returns:
            Seconds, more than none.

        Raises:
            TimeoutError: The time for all of them is over.
        """
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the exchange is over")
        return left if timeout is None else min(left, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of a host's addresses that answers; the arguments are httpcore's.

        Raises:
            TimeoutError: There was no time left, or no answer about the name in time.
            OSError: The name is not known.
            httpcore.ConnectError: No address takes connections.
            httpcore.ConnectTimeout: None did in time.
        """
        ends_at = time.monotonic() + self.left(timeout)
        addresses = _look_up(host, port, self.left(timeout))
        for tried, address in enumerate(addresses, 1):
            share = (ends_at - time.monotonic()) / (len(addresses) - tried + 1)  # one address that is silent leaves time for the next
            try:
                return _BoundedStream(self._plain.connect_tcp(address, port, max(share, 0.001), local_address, socket_options), self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if tried == len(addresses):
                    raise
        raise OSError(f"{host} has no address")


class _BoundedStream(httpcore.NetworkStream):
    """A connection; what is read and written waits no longer than its network has time left."""

    def __init__(self, stream: httpcore.NetworkStream, network: BoundedNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for first in range(0, len(buffer), _WRITTEN_AT_ONCE):
            self._stream.write(buffer[first : first + _WRITTEN_AT_ONCE], self._network.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, self._network.left(timeout)), self._network)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 — as httpcore has it
        return self._stream.get_extra_info(info)


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    """Look a name up in a thread that may be left behind: where a DNS server is silent, nothing else ends the wait for half a minute."""
    answers: SimpleQueue[list[str] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put([str(address[0]) for *_, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)])
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:  # a label of more than 63 characters, or of none
            answers.put(socket.gaierror(socket.EAI_NONAME, str(error)))

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer about the name {host}") from None
    if isinstance(answer, OSError):
        raise answer
    return answer
