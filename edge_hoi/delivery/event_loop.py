"""An asyncio event loop for a sink's own thread, so that a whole exchange has one time limit: name, connection, TLS, sending, answer."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any


class SinkEventLoop(asyncio.SelectorEventLoop):
    """Looks names up in daemon threads.

    asyncio does so in threads that the interpreter waits for at its end: half a minute, where a DNS server is silent.
    """

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 — asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look a name up; the arguments are those of `socket.getaddrinfo`."""
        found: asyncio.Future[list[Any]] = self.create_future()

        def look_up() -> None:
            settle: Callable[[], None]
            try:
                settle = partial(found.set_result, socket.getaddrinfo(host, port, family, type, proto, flags))
            except (OSError, UnicodeError) as error:
                settle = partial(found.set_exception, error)
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self.call_soon_threadsafe(lambda: None if found.done() else settle())

        threading.Thread(target=look_up, name="look-up", daemon=True).start()
        return await found
