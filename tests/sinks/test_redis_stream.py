import json
import time
import traceback

import pytest
from busy_machine import within
from scripted import HUMAN, OBJECT, RIDE, moved, play, times
from servers.redis_server import RedisServer, has_redis_server

from edge_hoi.errors import MissingDependencyError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.redis_stream import RedisSettings

redis = pytest.importorskip("redis", reason="needs the extra: pip install '.[redis]'")
if not has_redis_server():
    pytest.skip("no Redis: apt-get install redis-server", allow_module_level=True)

MESSAGES = [Message.of(event) for event in play(lambda pts: [(moved(HUMAN, 9 * pts), OBJECT, RIDE, 0.8)], times(10, 20))]
PASSWORD = "kanari@/%41bird"


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a server, and a client to inspect it."""
    started = []

    def start_server(**arguments):
        server = RedisServer(tmp_path, **arguments)
        client = redis.Redis(port=server.port, password=arguments.get("password"))
        started.extend([client.close, server.stop])
        return server, client

    yield start_server
    for end in started:
        end()


def make(server, **settings):
    return RedisSettings(host="127.0.0.1", port=server.port, **settings).make(SinkContext("site"))


def failure(server, **settings):
    with pytest.raises(SinkError) as caught, make(server, **settings) as sink:
        sink.deliver(MESSAGES)
    assert "kanari" not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_an_entry_has_the_event_and_fields_to_filter_by(start):
    server, client = start()
    with make(server, stream="gate") as sink:
        sink.deliver(MESSAGES)
    entries = [fields for _, fields in client.xrange("gate")]
    assert [entry[b"cloudevent"] for entry in entries] == [message.body for message in MESSAGES]
    envelope = json.loads(MESSAGES[0].body)
    assert {name: entries[0][name.encode()].decode() for name in ("source", "id", "type")} == {
        name: envelope[name] for name in ("source", "id", "type")
    }


def test_the_stream_keeps_about_the_newest(start):
    server, client = start()
    with make(server, max_length=100) as sink:
        for _ in range(100):
            sink.deliver(MESSAGES)
    assert 100 <= client.xlen("edge-hoi:events") < 400


def test_a_wrong_password_is_a_fault_and_does_not_show(start):
    server, _ = start(password=PASSWORD)
    assert isinstance(failure(server, password="kanari-wrong"), SinkFaultError)
    assert isinstance(failure(server), SinkFaultError)
    with make(server, password=PASSWORD) as sink:
        sink.deliver(MESSAGES)


def test_a_key_that_is_no_stream_and_a_missing_permission_are_faults_and_nothing_is_delivered(start):
    server, client = start()
    client.set("edge-hoi:events", "text")
    error = failure(server)
    assert isinstance(error, SinkFaultError)
    assert "is the key edge-hoi:events a stream" in str(error)
    client.execute_command("ACL", "SETUSER", "box", "on", ">kanari", "+ping", "+multi", "+exec", "~*")
    error = failure(server, user="box", password="kanari", stream="other")
    assert isinstance(error, SinkFaultError)
    assert "may XADD" in str(error)
    assert client.exists("other") == 0


def test_a_server_without_memory_is_retried_and_accepts_a_batch_completely_or_not_at_all(start):
    server, client = start()
    client.config_set("maxmemory", 1)
    error = failure(server)
    assert isinstance(error, SinkUnavailableError)
    assert client.xlen("edge-hoi:events") == 0
    client.config_set("maxmemory", 0)
    with make(server) as sink:
        sink.deliver(MESSAGES)
    assert client.xlen("edge-hoi:events") == len(MESSAGES)


def test_a_replica_is_retried(start):
    server, client = start()
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    assert isinstance(failure(server), SinkUnavailableError)


def test_a_server_that_does_not_answer_times_out(silent_server):
    sink = RedisSettings(host="127.0.0.1", port=silent_server.port, timeout_seconds=0.5).make(SinkContext("site"))
    started = time.monotonic()
    with pytest.raises(SinkUnavailableError, match="did not answer in time"):
        sink.open()
    assert time.monotonic() - started < within(3.0)


def test_tls_is_verified(start, tmp_path):
    trustme = pytest.importorskip("trustme", reason="needs trustme to make certificates: pip install '.[dev]'")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    server, _ = start(tls=tmp_path)
    error = failure(server, tls={})
    assert isinstance(error, SinkFaultError)
    assert "not trusted" in str(error)
    with make(server, tls={"ca_file": str(tmp_path / "ca.pem")}) as sink:
        sink.deliver(MESSAGES)
    with make(server, tls={"verify": False}) as sink:
        sink.deliver(MESSAGES)


def test_a_missing_client_library_is_reported_with_its_install_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[redis\]'"):
        RedisSettings().make(SinkContext("site"))
