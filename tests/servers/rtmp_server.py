"""Serve a video file over RTMP as a camera does, with FFmpeg's command as the server."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

HAS_FFMPEG = shutil.which("ffmpeg") is not None
_ESTABLISHED, _LISTENING = "01", "0A"  # in /proc/net/tcp


class RtmpServer:
    """Shows a file again and again, to one client after the other, at the pace of its time stamps.

    FFmpeg serves one client, and is started again for the next.
    """

    def __init__(self, path):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._path = path
        self._process = None
        self._stopped = threading.Event()
        self.start()

    @property
    def url(self):
        """Its address."""
        return f"rtmp://127.0.0.1:{self.port}/live/camera"

    def start(self):
        """Start it, and wait until it listens."""
        self._stopped.clear()
        self._start_process()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def freeze(self):
        """Go silent with the connection open."""
        self._process.send_signal(signal.SIGSTOP)

    def stop(self):
        """Go away without a word."""
        self._stopped.set()
        while self._thread.is_alive():  # it may be starting the next process
            self._process.kill()
            self._thread.join(0.1)

    def _start_process(self):
        command = [
            "ffmpeg",
            "-v",
            "quiet",
            "-re",
            "-stream_loop",
            "-1",
            "-i",
            str(self._path),
            "-c",
            "copy",
            "-f",
            "flv",
            "-listen",
            "1",
            self.url,
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        while not is_open(self.port) and self._process.poll() is None:
            time.sleep(0.02)

    def _serve(self):
        while True:
            self._process.wait()
            if self._stopped.is_set():
                return
            self._start_process()


def is_open(port, states=(_ESTABLISHED, _LISTENING)):
    """Whether a port of 127.0.0.1 is in one of these states; connecting to see that would take the place of the one client."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(local == f"0100007F:{port:04X}" and state in states for _, local, _, state, *_ in map(str.split, lines))
