"""Wait for and receive from the two sockets of a relay, of which one may have TLS."""

import select
import socket
import ssl

CHUNK_BYTES = 1 << 16
SEND_SECONDS = 10.0


def ready(poll: select.poll, server: socket.socket) -> set[int]:
    """Wait until something can be read, and return the descriptors of which."""
    if isinstance(server, ssl.SSLSocket) and server.pending() > 0:
        return {server.fileno()}
    return {descriptor for descriptor, _ in poll.poll()}


def receive(server: socket.socket) -> bytes | None:
    """Return what has arrived; none at the end or if the connection broke, None if it was only a message of TLS."""
    server.settimeout(0)
    try:
        return server.recv(CHUNK_BYTES)
    except (ssl.SSLWantReadError, BlockingIOError):
        return None
    except OSError:
        return b""
