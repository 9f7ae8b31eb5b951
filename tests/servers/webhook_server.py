"""A real HTTP server that accepts webhooks and can misbehave."""

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
    """A request as received; header names in lower case."""

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
    """Return a normal response; in names of headers, `_` stands for `-`."""

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
    """Reset the connection after reading the request, like a crashing server."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def hang_up(handler):
    """Close the connection without a response."""
    handler.close_connection = True


def gibberish(handler):
    """Respond with another protocol."""
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.close_connection = True


def drip_headers(handler):
    """Send a header byte by byte, each within the read timeout."""
    _drip(handler, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000)


def drip_body(status):
    """Send the status at once, and the body byte by byte."""

    def behave(handler):
        _drip(handler, b"x" * 1000, at_once=b"HTTP/1.1 %d Status\r\nContent-Length: 1000\r\n\r\n" % status)

    return behave


def endless_body(handler):
    """Accept, and send an endless body."""
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
        if len(body) < length:  # the connection ended: nothing was accepted
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
        if self.tls:  # the handshake happens at the first read, in the handler's thread
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self.connections.append(connection)
        return connection, address

    def handle_error(self, request, client_address):
        pass  # a client that disconnects, or rejects the certificate


class WebhookServer:
    """Accepts requests on a port of its own.

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
        """Set the responses to the next requests."""
        self.behaviours = iter(behaviours)

    def start(self):
        """Start or restart it on the same port."""
        self._server = _Server(("127.0.0.1", self.port), self, self._tls)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Stop, and close every connection."""
        self._server.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self._server.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        time.sleep(0)
