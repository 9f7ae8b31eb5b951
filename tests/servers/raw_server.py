"""A TCP server whose every byte a test chooses, for servers that misbehave."""

import socket
import socketserver
import ssl
import threading
from contextlib import suppress


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.connections += 1
        with suppress(OSError):
            if self.server.tls is None:
                self.server.talk(self)
                return
            with self.server.tls.wrap_socket(self.request, server_side=True) as self.request:
                self.setup()
                self.server.talk(self)
                self.finish()


class RawServer(socketserver.ThreadingTCPServer):
    """Calls `talk(handler)` for each connection; a handler has `rfile` and `wfile`.

    Attributes:
        connections: How many there were.
        requests: What was read by `read_request`.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, talk, *, host="127.0.0.1", tls=None):
        super().__init__((host, 0), _Handler)
        self.talk, self.tls = talk, tls
        self.connections = 0
        self.requests = []
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def read_request(self, handler):
        """Read a request of HTTP or RTSP without a body; return its method, address and headers, or None at the end."""
        start = handler.rfile.readline().decode("latin-1").split()
        if len(start) < 2:
            return None
        headers = {}
        while line := handler.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        self.requests.append((start[0], start[1], headers))
        return self.requests[-1]

    def stop(self):
        """Stop."""
        self.shutdown()
        self.server_close()


def http_pages(pages):
    """Return what talks HTTP: `pages` maps paths to bodies, or to functions that write all of the response."""

    def talk(handler):
        request = handler.server.read_request(handler)
        if request is None:
            return
        page = pages.get(request[1].partition("?")[0])
        if callable(page):
            page(handler)
        elif page is None:
            handler.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(page) + page)

    return talk


def redirect_to(url):
    """Return a page that redirects."""
    return lambda handler: handler.wfile.write(
        b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % url.encode()
    )


def endlessly(head, data=bytes(1 << 16)):
    """Return a page that writes `head` and then `data` without end."""

    def page(handler):
        handler.wfile.write(head)
        while True:
            handler.wfile.write(data)

    return page


def forward_to(port):
    """Return what passes all on to a server on this machine, as a proxy that ends TLS does."""

    def talk(handler):
        with socket.create_connection(("127.0.0.1", port)) as far:
            back = threading.Thread(target=_pour, args=(far, handler.request), daemon=True)
            back.start()
            _pour(handler.request, far)
            back.join()

    return talk


def _pour(source, target):
    with suppress(OSError, ssl.SSLError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
