"""A real Mosquitto that tests start and stop, and a client that records all messages."""

import functools
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from pathlib import Path

import pytest

PACKAGE = "mosquitto"


@functools.cache
def program(name):
    """Return the path of one of Mosquitto's programs, None if it is not installed; Debian's broker is not in a user's PATH."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


def require_mosquitto():
    """Skip where the broker or the client library is missing."""
    pytest.importorskip("paho.mqtt.client", reason="needs the extra: pip install '.[mqtt]'")
    if program("mosquitto") is None:
        pytest.skip(f"no MQTT broker: apt-get install {PACKAGE}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Mosquitto:
    """A broker on a free port of this machine, which a restart keeps.

    `users` maps names to passwords; without any, everybody may come in. `lines` are further lines of its configuration, for its listener.
    It remembers retained messages and sessions over a restart unless `stop` is called with `forget`.
    """

    def __init__(self, folder: Path, *, users=None, lines=(), access=None):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self._process = None
        text = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {folder}/",
            f"log_dest file {self.log}",
            "log_type all",
            # The default is 1000 for a listener that is offline; it drops further messages. With 0, no limit, version
            # 2.0.11 disconnects a client that publishes without permission.
            "max_queued_messages 1000000",
            f"allow_anonymous {'false' if users else 'true'}",
            *lines,
        ]
        if os.getuid() == 0:
            text.append("user root")  # its default user may not read the test's folder
        if users:
            passwords = folder / "passwords"
            passwords.touch()
            for name, password in users.items():
                subprocess.run([program("mosquitto_passwd"), "-b", str(passwords), name, password], check=True)
            text.append(f"password_file {passwords}")
        if access:
            (folder / "access").write_text(access)
            text.append(f"acl_file {folder / 'access'}")
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text("\n".join(text) + "\n")
        self.start()

    def start(self):
        """Start it, and wait until it accepts connections."""
        self._process = subprocess.Popen(
            [program("mosquitto"), "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"mosquitto did not start:\n{self.log.read_text() if self.log.exists() else ''}"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("mosquitto accepts no connections")

    def freeze(self):
        """Stop responding, with every connection open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Resume after `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self, *, forget=False):
        """Shut it down; with `forget`, delete its database."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        self._process.wait(20)
        if forget:
            (self.folder / "mosquitto.db").unlink(missing_ok=True)


class Listener:
    """A client that keeps every message of some topics, in order, also those sent while it was reconnecting.

    A broker that stops before it has read an acknowledgement sends that message again. Such redeliveries are skipped: a message kept
    twice was published twice.
    """

    def __init__(self, port, topics="#", *, user=None, password=None, tls=None):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages = []
        self._topics = topics
        self._ready = threading.Event()
        self._marks = {}
        self._by_id = {}
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{uuid.uuid4().hex[:12]}", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        if user:
            self._client.username_pw_set(user, password)
        if tls:
            self._client.tls_set_context(tls)
        self._mark_topic = f"marks/{uuid.uuid4().hex[:12]}"
        self._client.on_connect = lambda client, *_: client.subscribe([(topics, 1), (self._mark_topic, 1)])
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_disconnect = lambda *_: self._ready.clear()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait_until_ready()

    def wait_until_ready(self):
        assert self._ready.wait(20), "the listener is not connected"

    def received(self, topic=None):
        """Return the messages up to now, including all that the broker accepted before this call."""
        mark = uuid.uuid4().hex
        self._marks[mark] = threading.Event()
        self._client.publish(self._mark_topic, mark, qos=1)
        assert self._marks[mark].wait(20), "the broker is silent"
        return [message for message in list(self.messages) if topic is None or message.topic == topic]

    def wait_for(self, is_there, seconds=10.0):
        """Wait for a message for which `is_there` is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in list(self.messages):
                if is_there(message):
                    return message
            time.sleep(0.02)
        raise AssertionError(f"not received in {seconds} s; received {[message.topic for message in self.messages]}")

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client, _data, message):
        if message.topic == self._mark_topic:
            if mark := self._marks.get(message.payload.decode()):
                mark.set()
        elif not message.topic.startswith("marks/") and not self._is_redelivered(message):
            self.messages.append(message)

    def _is_redelivered(self, message):
        content = (message.topic, message.payload)
        before, self._by_id[message.mid] = self._by_id.get(message.mid), content
        return message.dup and before == content


def retained(port, topics="#", **access):
    """Return the retained payloads by topic."""
    listener = Listener(port, topics, **access)
    try:
        return {message.topic: message.payload for message in listener.received() if message.retain}
    finally:
        listener.stop()
