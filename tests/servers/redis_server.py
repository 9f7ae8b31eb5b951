"""A real Redis server in a process of its own, from the system's `redis-server`."""

import functools
import shutil
import socket
import subprocess
import time

PROGRAM = "redis-server"


@functools.cache
def has_redis_server():
    """Whether Redis is installed."""
    return shutil.which(PROGRAM) is not None


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class RedisServer:
    """Keeps its data in a folder, also over a restart.

    Attributes:
        port: Its port; 127.0.0.1.
    """

    def __init__(self, folder, *, password=None, tls=None, settings=()):
        self.port = _free_port()
        self._folder = folder
        self._settings = [*settings]
        if password is not None:
            self._settings += ["--requirepass", password]
        if tls is not None:
            self._settings += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            files = {"cert": "server.pem", "key": "server.pem", "ca-cert": "ca.pem"}
            self._settings += [part for name, file in files.items() for part in (f"--tls-{name}-file", str(tls / file))]
        else:
            self._settings += ["--port", str(self.port)]
        self._process = None
        self.start()

    def start(self):
        """Start or restart it on the same port."""
        fixed = ["--bind", "127.0.0.1", "--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._process = subprocess.Popen([PROGRAM, *fixed, *self._settings], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise AssertionError("redis-server did not start")

    def stop(self):
        """Kill it; acknowledged data is on its disk."""
        self._process.kill()
        self._process.wait()
