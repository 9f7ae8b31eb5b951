"""A network backend of httpcore with one deadline for all waits of a request: name lookup, connection, TLS, request and response.

httpx limits each wait, not their sum; its asyncio side, which can limit the sum, takes almost four times the processor time for a request.
Backends: https://www.encode.io/httpcore/network-backends/.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any

import httpcore

_WRITE_BYTES = 16 * 1024
"""The deadline is checked after each write of this size, in case the server reads slowly."""


class BoundedNetwork(httpcore.NetworkBackend):
    """Creates connections. Before each exchange, `limit` sets the total time of its waits."""

    def __init__(self) -> None:
        self._plain = httpcore.SyncBackend()
        self._deadline = 0.0

    def limit(self, seconds: float) -> None:
        """Limit the total time of all waits from now on."""
        self._deadline = time.monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """Return the seconds, more than 0, that a single wait with the given timeout may take.

        Raises:
            TimeoutError: The deadline has passed.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the exchange has passed")
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
            TimeoutError: The deadline has passed, or the name was not resolved in time.
            OSError: The name is unknown.
            httpcore.ConnectError: No address accepts connections.
            httpcore.ConnectTimeout: No address answered in time.
        """
        ends_at = time.monotonic() + self.left(timeout)
        addresses = _resolve(host, port, self.left(timeout))
        for tried, address in enumerate(addresses, 1):
            share = (ends_at - time.monotonic()) / (len(addresses) - tried + 1)  # an address that does not answer leaves time for the next
            try:
                return _BoundedStream(self._plain.connect_tcp(address, port, max(share, 0.001), local_address, socket_options), self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if tried == len(addresses):
                    raise
        raise OSError(f"{host} has no address")


class _BoundedStream(httpcore.NetworkStream):
    """A connection whose reads and writes respect the network's deadline."""

    def __init__(self, stream: httpcore.NetworkStream, network: BoundedNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for first in range(0, len(buffer), _WRITE_BYTES):
            self._stream.write(buffer[first : first + _WRITE_BYTES], self._network.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, self._network.left(timeout)), self._network)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 — as httpcore has it
        return self._stream.get_extra_info(info)


def _resolve(host: str, port: int, seconds: float) -> list[str]:
    """Resolve a name in a thread that may be left behind: `getaddrinfo` waits half a minute for a DNS server that does not answer."""
    answers: SimpleQueue[list[str] | OSError] = SimpleQueue()

    def resolve() -> None:
        try:
            answers.put([str(address[0]) for *_, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)])
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:  # an empty label, or one of more than 63 characters
            answers.put(socket.gaierror(socket.EAI_NONAME, str(error)))

    threading.Thread(target=resolve, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"the name {host} was not resolved in time") from None
    if isinstance(answer, OSError):
        raise answer
    return answer
