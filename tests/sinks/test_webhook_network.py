"""One deadline for all waits: names with several addresses, slow servers, an expired deadline."""

import socket
import threading
import time

import pytest
from busy_machine import within

httpcore = pytest.importorskip("httpcore", reason="needs the extra: pip install '.[webhook]'")

from edge_hoi.sinks.webhook.network import BoundedNetwork


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as each:
        yield each


def connect(listener, seconds, host="127.0.0.1"):
    network = BoundedNetwork()
    network.limit(seconds)
    return network, network.connect_tcp(host, listener.getsockname()[1])


def name_addresses(monkeypatch, *addresses):
    """Resolve the test's name to these addresses, and any other name as usual."""
    look_up = socket.getaddrinfo

    def answer(host, port, *arguments):
        names = addresses if host == "several.example" else [host]
        return [found for name in names for found in look_up(name, port, *arguments)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_after_an_address_that_accepts_no_connections_the_next_is_tried(listener, monkeypatch):
    name_addresses(monkeypatch, "127.0.0.2", "127.0.0.1")
    _, stream = connect(listener, 5.0, "several.example")
    assert stream.get_extra_info("server_addr") == listener.getsockname()
    stream.close()


def test_if_no_address_accepts_connections_the_last_failure_is_reported(listener, monkeypatch):
    name_addresses(monkeypatch, "127.0.0.2", "127.0.0.3")
    with pytest.raises(httpcore.ConnectError, match="refused"):
        connect(listener, 5.0, "several.example")


def test_an_address_that_does_not_answer_leaves_time_for_the_next(listener, monkeypatch):
    name_addresses(monkeypatch, "127.0.0.1", "127.0.0.4")
    with socket.create_server(("127.0.0.4", listener.getsockname()[1])):
        listener.listen(0)
        waiting = []
        for _ in range(4):  # with a full backlog, further connections are not answered
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listener.getsockname())
        started = time.monotonic()
        _, stream = connect(listener, 1.0, "several.example")
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.4"
        assert 0.4 < time.monotonic() - started < within(3.0)
        for each in (stream, *waiting):
            each.close()


def test_an_invalid_host_name_is_an_unknown_host(listener):
    with pytest.raises(socket.gaierror):
        connect(listener, 5.0, f"{'x' * 64}.example")


def test_after_the_deadline_nothing_is_waited_for(listener):
    network, stream = connect(listener, 5.0)
    network.limit(0.0)
    for wait in (lambda: stream.read(1), lambda: stream.write(b"x"), lambda: network.connect_tcp("127.0.0.1", 1)):
        with pytest.raises(TimeoutError, match="deadline of the exchange has passed"):
            wait()
    stream.close()


def test_a_server_that_reads_slowly_does_not_extend_the_deadline(listener):
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stop = threading.Event()

    def sip():
        connection, _ = listener.accept()
        with connection:
            while not stop.wait(0.05):
                connection.recv(4096)

    thread = threading.Thread(target=sip)
    thread.start()
    network, stream = connect(listener, 5.0)
    network.limit(0.6)
    started = time.monotonic()
    with pytest.raises((TimeoutError, httpcore.WriteTimeout)):
        stream.write(b"x" * 50_000_000, timeout=0.5)
    assert time.monotonic() - started < within(3.0)
    stop.set()
    stream.close()
    thread.join(30)
