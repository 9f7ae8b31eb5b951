"""Servers that tests start and stop: RTSP in a process of its own, HTTP and a silent camera in threads."""

import functools
import http.server
import signal
import socket
import subprocess
import threading
from pathlib import Path
from urllib.parse import quote

SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"


@functools.cache
def has_rtsp_server():
    """Whether GStreamer's RTSP server and the elements it needs here are installed."""
    needed = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    needed += "assert all(map(Gst.ElementFactory.find, ['qtdemux', 'matroskademux', 'h264parse', 'rtph264pay']))"
    return Path(SYSTEM_PYTHON).exists() and subprocess.run([SYSTEM_PYTHON, "-c", needed], capture_output=True).returncode == 0


class RtspServer:
    """A real RTSP server that shows a file (H.264 in .mp4 or .mkv) as a camera would, to each client from its start."""

    def __init__(self, path, *, user=None, password=None):
        self._path = path
        self._credentials = None if user is None else f"{user}:{password}"
        self._process = None
        self.port = 0
        self.start()

    @property
    def url(self):
        """Its URL, with the password percent-encoded, as a URL needs it."""
        user, colon, password = (self._credentials or "").partition(":")
        return f"rtsp://{user}{colon}{quote(password, safe='')}{'@' if user else ''}127.0.0.1:{self.port}/camera"

    @property
    def open_url(self):
        """Its URL without user and password."""
        return f"rtsp://127.0.0.1:{self.port}/camera"

    def start(self):
        """Start it, or start it again on the port it had."""
        command = [SYSTEM_PYTHON, str(Path(__file__).with_name("rtsp_server.py")), str(self._path), "--port", str(self.port)]
        if self._credentials:
            command += ["--credentials", self._credentials]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        word, _, port = self._process.stdout.readline().partition(" ")
        assert word == "PORT", "the RTSP server did not start"
        self.port = int(port)

    def freeze(self):
        """Go silent with every connection open, as a camera that hangs does."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Wake from `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        """Go away without a word, as a camera that loses power does."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class SilentServer:
    """A camera that takes connections and never says a word."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            while True:
                self.connections.append(self._listener.accept()[0])
        except OSError:
            return  # stopped

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            connection.close()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if self.path.startswith("/secret/") and self.headers.get("Authorization") is None:
            self.send_error(401)
        else:
            super().do_GET()


class FileServer:
    """Serves a folder over HTTP; what is under `/secret/` only to who gives a password, any password."""

    def __init__(self, folder):
        handler = functools.partial(_QuietHandler, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
