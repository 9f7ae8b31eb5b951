"""A real HTTP proxy with tunnels (CONNECT)."""

import socket
import socketserver
import threading
from contextlib import suppress


class _Tunnel(socketserver.StreamRequestHandler):
    def handle(self):
        words = self.rfile.readline().decode().split()
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        self.server.asked.append((words[0], words[1], headers))
        host, _, port = words[1].partition(":")
        with socket.create_connection((host, int(port))) as far:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pour, args=(far, self.connection))
            back.start()
            _pour(self.connection, far)
            back.join()


def _pour(source, target):
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class TunnelProxy(socketserver.ThreadingTCPServer):
    """Accepts requests for tunnels on a port of its own.

    Attributes:
        asked: Method, target and headers of each.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.asked = []
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Stop."""
        self.shutdown()
        self.server_close()
