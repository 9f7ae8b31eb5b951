"""Values that try to become more than a value: headers, options of a client library, topics, and addresses of others."""

import json

import pytest
from sample_events import make_episode
from servers.webhook_server import WebhookServer, answer

from edge_hoi.config import parse_config
from edge_hoi.errors import ConfigError, SinkError, SinkFaultError
from edge_hoi.sinks import Message, SinkContext

KAFKA = {"type": "kafka", "brokers": ["127.0.0.1:9"], "topic": "t"}
MQTT = {"type": "mqtt", "host": "127.0.0.1"}
WEBHOOK = {"type": "webhook", "url": "https://host/"}
MESSAGE = Message.of(make_episode()[0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        # options of librdkafka: the first loads a library, the second runs a command
        (KAFKA | {"plugin.library.paths": "/tmp/evil.so"}, "unknown key"),
        (KAFKA | {"sasl": {"user": "a", "password": "b", "sasl.kerberos.kinit.cmd": "touch /tmp/evil"}}, "unknown key"),
        (KAFKA | {"client": {"plugin.library.paths": "/tmp/evil.so"}}, "unknown key"),
        (KAFKA | {"sasl": {"user": "a", "password": "b", "mechanism": "GSSAPI"}}, "mechanism"),
        (KAFKA | {"brokers": ["127.0.0.1:9,evil:9"]}, "brokers"),
        (KAFKA | {"brokers": ["127.0.0.1:9\nplugin.library.paths=/tmp/evil.so"]}, "brokers"),
        (KAFKA | {"topic": "t\nx"}, "topic"),
        (KAFKA | {"topic": "t\n"}, "topic"),
        (MQTT | {"prefix": "#"}, "prefix"),
        (MQTT | {"prefix": "a/+/b"}, "prefix"),
        (MQTT | {"prefix": "a\n"}, "prefix"),
        (MQTT | {"home_assistant": "../$SYS"}, "home_assistant"),
        (MQTT | {"host": "user:password@host"}, "host"),
        (WEBHOOK | {"headers": {"X-A": "b\r\nX-Evil: yes"}}, "newline"),
        (WEBHOOK | {"headers": {"X-A: b\r\nX-Evil": "yes"}}, "letters, digits"),
        (WEBHOOK | {"headers": {"Host": "evil"}}, "set by edge-hoi"),
        (WEBHOOK | {"headers": {"Transfer-Encoding": "chunked"}}, "set by edge-hoi"),
        (WEBHOOK | {"bearer_token": "a\nX-Evil: yes"}, "newline"),
        (WEBHOOK | {"basic": {"user": "a\r\nX-Evil: yes", "password": "b"}}, "user"),
        (WEBHOOK | {"url": "https://host/\r\nX-Evil: yes"}, "http://"),
        (WEBHOOK | {"url": "https://host /"}, "http://"),
        (WEBHOOK | {"url": "file:///etc/passwd"}, "http://"),
        ({"type": "redis", "url": "redis://host?db=0&ssl_cert_reqs=none"}, "unknown key"),
        ({"type": "jsonl", "path": "a", "name": "x'; DROP TABLE events; --"}, "name"),
    ],
)
def test_a_setting_is_only_what_it_says(settings, words):
    with pytest.raises(ConfigError, match=words):
        parse_config({"sinks": [settings]}, origin="test")


@pytest.fixture
def server():
    """Start a web server."""
    pytest.importorskip("httpx", reason="needs the extra: pip install '.[webhook]'")
    server = WebhookServer()
    yield server
    server.stop()


def deliver(server, message=MESSAGE, **settings):
    sink = parse_config({"sinks": [WEBHOOK | {"url": server.origin, **settings}]}, origin="test").sinks[0].make(SinkContext("site"))
    with sink:
        sink.deliver([message])


@pytest.mark.parametrize("name", ["x\r\nevil", "x: y\nevil", "x y", ""])
def test_an_attribute_of_a_foreign_event_becomes_no_header_of_its_own(server, name):
    body = json.dumps(json.loads(MESSAGE.body) | {name: "a\r\nevil: yes"}).encode()
    try:
        deliver(server, Message(1, body, "gate", "x"), content_mode="binary")
    except SinkError:
        assert server.requests == []  # it was not sent at all
    assert not [request for request in server.requests if "evil" in request.headers]


def test_a_value_of_an_event_becomes_no_header_of_its_own(server):
    body = json.dumps(json.loads(MESSAGE.body) | {"subject": "a\r\nevil: yes\r\n\r\nPOST / HTTP/1.1"}).encode()
    deliver(server, Message(1, body, "gate", "x"), content_mode="binary")
    (request,) = server.requests
    assert request.headers["ce-subject"] == "a%0D%0Aevil:%20yes%0D%0A%0D%0APOST%20/%20HTTP/1.1"
    assert "evil" not in request.headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_brings_the_events_to_nobody_else(server, status):
    other = WebhookServer()
    try:
        server.behave(answer(status, Location=f"{other.origin}/"))
        with pytest.raises(SinkFaultError, match="redirects are not followed"):
            deliver(server, bearer_token="secret-token")
        assert len(server.requests) == 1
        assert other.requests == []
    finally:
        other.stop()
