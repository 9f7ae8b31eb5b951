"""A real HTTP server that takes webhooks and misbehaves as it is told."""

import http.server
import json
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import unquote


class Received(NamedTuple):
    """A request as it came in; header names in lower case."""

    method: str
    path: str
    headers: dict
    body: bytes

    @property
    def envelopes(self):
        """The CloudEvents in it, of any content mode, in structured form."""
        kind = self.headers["content-type"]
        if kind == "application/cloudevents-batch+json":
            return json.loads(self.body)
        if kind == "application/cloudevents+json":
            return [json.loads(self.body)]
        attributes = {name[3:]: unquote(value) for name, value in self.headers.items() if name.startswith("ce-")}
        return [attributes | {"datacontenttype": kind, "data": json.loads(self.body)}]


def answer(status, body=b"", **headers):
    """Answer as a server does; in names of headers, `_` stands for `-`."""

    def behave(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def silence(handler):
    """Never answer."""
    handler.server.stopped.wait(30)
    handler.close_connection = True


def reset(handler):
    """Reset the connection once the request was read, as a server does that crashes."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def hang_up(handler):
    """Close the connection without an answer."""
    handler.close_connection = True


def gibberish(handler):
    """Answer with what is not HTTP."""
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.close_connection = True


def drip_headers(handler):
    """Send a header a byte at a time, each soon enough for a time limit on silence."""
    _drip(handler, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000)


def drip_body(status):
    """Say the status at once, and the body a byte at a time."""

    def behave(handler):
        _drip(handler, b"x" * 1000, at_once=b"HTTP/1.1 %d Status\r\nContent-Length: 1000\r\n\r\n" % status)

    return behave


def endless_body(handler):
    """Take, and then talk for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with suppress(OSError):
        while not handler.server.stopped.is_set():
            handler.wfile.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
    handler.close_connection = True


def _drip(handler, content, at_once=b""):
    handler.close_connection = True
    with suppress(OSError):
        handler.wfile.write(at_once)
        for byte in content:
            handler.wfile.write(bytes([byte]))
            if handler.server.stopped.wait(0.1):
                return


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def _take(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the connection ended meanwhile: nothing was taken
            self.close_connection = True
            return
        received = Received(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.server.owner.requests.append(received)
        behaviour = next(self.server.owner.behaviours, None) or self.server.owner.decide(received)
        if behaviour is answer_ok:
            self.server.owner.accepted.append(received)
        behaviour(self)

    def do_POST(self):
        self._take()

    def do_GET(self):
        self._take()


answer_ok = answer(204)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, owner, tls):
        self.owner, self.tls = owner, tls
        self.stopped = threading.Event()
        self.connections = []
        super().__init__(address, _Handler)

    def get_request(self):
        connection, address = super().get_request()
        self.connections.append(connection)
        if self.tls:  # the handshake is made where the first byte is read: in the handler's own thread
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self.connections.append(connection)
        return connection, address

    def handle_error(self, request, client_address):
        pass  # a client that hangs up, or does not like our certificate


class WebhookServer:
    """Takes requests on a port of its own.

    Attributes:
        requests: All requests, as they came in.
        accepted: Those that it took.
        behaviours: How it answers the next ones, one after the other.
        decide: How it answers when there is no behaviour left: by the request; 204 unless replaced.
    """

    def __init__(self, tls=None):
        self.requests, self.accepted = [], []
        self.behaviours = iter(())
        self.decide = lambda request: answer_ok
        self._tls = tls
        self.port = 0
        self.start()

    @property
    def origin(self):
        return f"http{'s' if self._tls else ''}://localhost:{self.port}"

    def behave(self, *behaviours):
        """Answer the next requests so."""
        self.behaviours = iter(behaviours)

    def start(self):
        """Start it, or start it again on the port it had."""
        self._server = _Server(("127.0.0.1", self.port), self, self._tls)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Go away, with every connection."""
        self._server.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self._server.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        time.sleep(0)
