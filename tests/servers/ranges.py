"""An HTTP server whose one file can be asked for in parts, and that can break off, forget parts, or replace the file."""

import http.server
import re
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class RangeServer:
    """Serves `content` at a path, also as a proxy of any host. Its behaviour may be changed while it runs.

    Attributes:
        content: The file.
        etag: Its version; None for none.
        break_after: Cut the connection after so many bytes of each answer; None for never.
        stall_after: Send nothing more after so many bytes of an answer, with the connection open; None for never.
        takes_ranges: Whether it gives parts.
        tells_length: Whether it says how long an answer is.
        status: Answer with this error instead.
        redirect_to: Answer with a redirect to this address instead.
        ranges: What was asked for: the `Range` header of each request, or None.
        asked: Path, or address as a proxy is given it, of each request.
        headers: All headers of each request.
    """

    def __init__(self, content, tls=None, path="/weights.pth"):
        """Start it; with a server's TLS context, it speaks TLS."""
        self.content, self._path = content, path
        self.etag = '"1"'
        self.break_after = None
        self.stall_after = None
        self._is_stopped = threading.Event()
        self.takes_ranges = True
        self.tells_length = True
        self.status = None
        self.redirect_to = None
        self.ranges = []
        self.asked, self.headers = [], []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_GET(self):
                server.answer(self)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}{path}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, request):
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        self.asked.append(request.path)
        self.headers.append(request.headers)
        if self.redirect_to:
            request.send_response(302)
            request.send_header("Location", self.redirect_to)
            request.end_headers()
            return
        if self.status or urlsplit(request.path).path != self._path:
            request.send_error(self.status or 404)
            return
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        start = int(match[1]) if match and self.takes_ranges and request.headers.get("If-Range", self.etag) == self.etag else 0
        if start and start >= len(self.content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.etag:
            request.send_header("ETag", self.etag)
        if self.tells_length:
            request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        with suppress(OSError):  # the client is gone
            request.wfile.write(self.content[start:][: self.stall_after or self.break_after])
        if self.stall_after:
            self._is_stopped.wait()
        request.close_connection = True

    def stop(self):
        self._is_stopped.set()
        self._server.shutdown()
        self._server.server_close()
