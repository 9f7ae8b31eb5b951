"""A web server that accepts every POST and stores nothing, fast enough not to limit a sink; it prints its address.

python benchmarks/http_test_server.py
"""

import asyncio
import re

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Taking(asyncio.Protocol):
    """A connection: each complete request is answered with 204."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Initialize the read buffer."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        """Answer complete requests."""
        self.read += data
        while b"\r\n\r\n" in self.read:
            head, _, rest = self.read.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            assert length is not None, f"expected a request with a Content-Length, got {head!r}"
            if len(rest) < int(length[1]):
                return
            self.read = rest[int(length[1]) :]
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Taking, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
