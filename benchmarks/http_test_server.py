"""A web server that takes every POST and keeps nothing, quick enough for a sink's own pace to show; it prints its address.

python benchmarks/http_test_server.py
"""

import asyncio
import re

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Taking(asyncio.Protocol):
    """A connection: requests one after the other, each answered with 204 once it is there as a whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing read."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
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
