"""A webhook server's behaviour and its consequence for events: the table in docs/sinks-webhook.md, line by line."""

import json
import socket
import threading
import time
from datetime import datetime, timedelta
from email.utils import format_datetime

import pytest
from busy_machine import within
from scripted import HUMAN, OBJECT, RIDE, moved, play, times
from servers.webhook_server import (
    WebhookServer,
    answer,
    answer_ok,
    drip_body,
    drip_headers,
    endless_body,
    gibberish,
    hang_up,
    reset,
    silence,
)

from edge_hoi.compat import UTC
from edge_hoi.errors import EventRefusedError, SinkFaultError, SinkUnavailableError
from edge_hoi.outbox import Outbox, Relay
from edge_hoi.sinks import Message, RetrySettings, SinkContext
from edge_hoi.sinks.webhook.response import MAX_RETRY_AFTER, Response, retry_after
from edge_hoi.sinks.webhook.settings import WebhookSettings

pytest.importorskip("httpx", reason="needs the extra: pip install '.[webhook]'")

EVENTS = play(lambda pts: [(moved(HUMAN, 9 * pts), OBJECT, RIDE, 0.8)], times(10, 20))
MESSAGES = [Message.of(event, position) for position, event in enumerate(EVENTS, 1)]


@pytest.fixture
def server():
    server = WebhookServer()
    yield server
    server.stop()


@pytest.fixture
def make():
    """Return a function that creates a sink to an address, closed after the test."""
    sinks = []

    def make_sink(url, **settings):
        sinks.append(WebhookSettings(url=url, **settings).make(SinkContext("site")))
        return sinks[-1]

    yield make_sink
    for sink in sinks:
        sink.close()


TAKEN, RETRIED, REFUSED, FAULT = None, SinkUnavailableError, EventRefusedError, SinkFaultError
STATUSES = {
    TAKEN: [200, 201, 202, 204, 206, 207, 299],
    FAULT: [300, 301, 302, 303, 304, 307, 308, 399, 401, 403, 407],
    RETRIED: [408, 429, 500, 501, 502, 503, 504, 505, 511, 599],
    REFUSED: [400, 402, 404, 405, 406, 409, 410, 411, 413, 414, 415, 417, 421, 422, 426, 428, 431, 451, 499],
}
TABLE = [
    *(pytest.param(answer(status), outcome, str(status), id=str(status)) for outcome, each in STATUSES.items() for status in each),
    pytest.param(answer(999), FAULT, "not a valid response to a POST", id="no such status"),
    pytest.param(hang_up, RETRIED, "the connection failed", id="hangs up"),
    pytest.param(reset, RETRIED, "Connection reset", id="reset"),
    pytest.param(gibberish, RETRIED, "the connection failed", id="another protocol"),
    pytest.param(drip_body(200), TAKEN, "", id="200 with a slow body"),
    pytest.param(drip_body(503), RETRIED, "503", id="503 with a slow body"),
    pytest.param(drip_body(400), REFUSED, "400", id="400 with a slow body"),
    pytest.param(endless_body, TAKEN, "", id="endless body"),
]


@pytest.mark.parametrize(("behaviour", "outcome", "words"), TABLE)
def test_the_servers_behaviour_decides_what_happens_to_an_event(server, make, behaviour, outcome, words):
    sink = make(f"{server.origin}/hook")
    sink.open()
    server.behave(answer_ok, behaviour)
    sink.deliver(MESSAGES[:1])
    started = time.monotonic()
    if outcome is TAKEN:
        sink.deliver(MESSAGES[1:2])
    else:
        with pytest.raises(outcome, match=words) as caught:
            sink.deliver(MESSAGES[1:2])
        assert caught.value.delivered == 0
    assert time.monotonic() - started < within(4.0)
    assert [request.method for request in server.requests] == ["POST", "POST"]
    sink.open()
    sink.deliver(MESSAGES[2:3])  # nothing is left in the connection
    assert server.accepted[-1].envelopes[0]["id"] == MESSAGES[2].id


@pytest.mark.parametrize(("behaviour", "limit"), [(silence, "read"), (drip_headers, "total")], ids=["silence", "headers byte by byte"])
def test_a_timeout_is_retried(server, make, behaviour, limit):
    sink = make(server.origin, **{f"{limit}_timeout_seconds": 0.5})
    sink.open()
    server.behave(behaviour)
    started = time.monotonic()
    with pytest.raises(SinkUnavailableError, match="did not answer in time"):
        sink.deliver(MESSAGES[:1])
    assert 0.4 < time.monotonic() - started < within(4.0)


@pytest.mark.parametrize(("behaviour", "outcome"), [(answer(503), RETRIED), (answer(401), FAULT), (answer(308), FAULT), (reset, RETRIED)])
def test_only_a_refused_batch_is_split(server, make, behaviour, outcome):
    sink = make(server.origin, content_mode="batched")
    sink.open()
    server.behave(behaviour)
    with pytest.raises(outcome):
        sink.deliver(MESSAGES)
    assert len(server.requests) == 1


def test_messages_delivered_before_a_failure_are_counted(server, make):
    sink = make(server.origin)
    sink.open()
    server.behave(answer_ok, answer_ok, answer(503))
    with pytest.raises(SinkUnavailableError) as caught:
        sink.deliver(MESSAGES[:5])
    assert caught.value.delivered == 2
    assert len(server.requests) == 3


def test_an_informational_response_is_skipped(server, make):
    def behave(handler):
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n")
        answer(204)(handler)

    sink = make(server.origin)
    sink.open()
    server.behave(behave)
    sink.deliver(MESSAGES[:1])
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/secret-hook/", "the same path with / at its end"),
        ("https://localhost/secret-hook", "redirects to https://localhost, the same path;"),
        (
            "https://user:canary@else.example/secret-token?key=canary",
            "redirects to https://else.example, another path, which `curl -i` shows",
        ),
        ("http://[half/", "a redirect to an invalid address"),
    ],
)
def test_a_redirect_is_not_followed_and_its_target_is_shown_without_secrets(server, make, status, location, words):
    sink = make(f"{server.origin}/secret-hook")
    sink.open()
    server.behave(answer(status, Location=location))
    with pytest.raises(SinkFaultError) as caught:
        sink.deliver(MESSAGES[:1])
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "canary" not in str(caught.value)
    assert [request.method for request in server.requests] == ["POST"]


def test_nothing_is_sent_before_retry_after_has_passed(server, make):
    sink = make(server.origin)
    sink.open()
    server.behave(answer(429, Retry_After="3"))
    asked = time.monotonic()
    texts = set()
    with pytest.raises(SinkUnavailableError, match="nothing is sent until"):
        sink.deliver(MESSAGES[:1])
    paused_at = time.monotonic()  # the pause began before this
    while time.monotonic() < asked + 2.5:
        with pytest.raises(SinkUnavailableError) as caught:
            sink.open()
        texts.add(str(caught.value))
        time.sleep(0.1)
    assert len(texts) == 1
    assert len(server.requests) == 1
    time.sleep(max(0.0, paused_at + 3.1 - time.monotonic()))
    sink.open()
    sink.deliver(MESSAGES[:1])
    assert len(server.accepted) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("0", 0), ("-3", 0), ("soon", 0), ("", 0), ("99999", 3600), ("9" * 400, 3600), ("NOON+30", 30), ("NOON-30", 0)],
)
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(text, seconds):
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    if text.startswith("NOON"):
        text = format_datetime(noon + timedelta(seconds=int(text[4:])), usegmt=True)
    assert retry_after(Response(503, {"retry-after": text}), noon) == timedelta(seconds=seconds)
    assert timedelta(seconds=3600) == MAX_RETRY_AFTER


def refuse(*poison):
    """Refuse requests that contain one of these events."""
    return lambda request: answer(422, b"odd event") if {each["id"] for each in request.envelopes} & set(poison) else answer_ok


@pytest.mark.parametrize("position", range(len(MESSAGES)))
def test_a_refused_batch_is_bisected_to_the_refused_event(server, make, position):
    server.decide = refuse(MESSAGES[position].id)
    sink = make(server.origin, content_mode="batched")
    sink.open()
    with pytest.raises(EventRefusedError, match=r"422 .*odd event") as caught:
        sink.deliver(MESSAGES)
    assert caught.value.delivered == position
    server.decide = lambda request: answer_ok
    sink.deliver(MESSAGES[position + 1 :])
    delivered = [envelope["id"] for request in server.accepted for envelope in request.envelopes]
    assert delivered == [message.id for message in MESSAGES if message is not MESSAGES[position]]


def test_through_the_outbox_every_event_is_delivered_or_a_dead_letter(server, make, tmp_path):
    poison = [MESSAGES[1].id, MESSAGES[5].id, MESSAGES[6].id]
    server.decide = refuse(*poison)
    server.behave(answer(503), reset)
    sink = make(server.origin, content_mode="batched")
    with Outbox(tmp_path / "outbox.db") as outbox:
        relay = Relay("webhook", sink, outbox, retry=RetrySettings(initial_wait_seconds=0.02, max_refusals=2))
        relay.start()
        outbox.put(EVENTS)
        deadline = time.monotonic() + 60
        while relay.status().delivered + relay.status().dead < len(EVENTS) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert relay.stop(2.0)
        assert outbox.flush(2.0)
        with outbox.reader() as reader:
            letters = reader.dead_letters()
    assert [letter.message.id for letter in letters] == poison
    assert all("422 Unprocessable" in letter.reason for letter in letters)
    delivered = [envelope["id"] for request in server.accepted for envelope in request.envelopes]
    assert delivered == [message.id for message in MESSAGES if message.id not in poison]


def test_a_closed_port_and_an_unknown_host_are_retried(server, make):
    server.stop()
    with pytest.raises(SinkUnavailableError, match="check that a server runs there"):
        make(server.origin).open()
    with pytest.raises(SinkUnavailableError, match="unknown host name"):
        make("http://no-such-host.invalid/").open()


def test_a_port_that_accepts_connections_but_does_not_answer_times_out(silent_server, make):
    limits = {"connect_timeout_seconds": 0.5, "read_timeout_seconds": 0.5}
    plain = make(f"http://127.0.0.1:{silent_server.port}/", **limits)
    plain.open()
    with pytest.raises(SinkUnavailableError, match="did not answer in time"):
        plain.deliver(MESSAGES[:1])
    secure = make(f"https://127.0.0.1:{silent_server.port}/", **limits)
    started = time.monotonic()
    with pytest.raises(SinkUnavailableError, match="did not answer in time"):
        secure.open()
    assert time.monotonic() - started < within(4.0)


def test_a_dns_server_that_does_not_answer_blocks_neither_the_sink_nor_the_programs_exit(server, make, monkeypatch):
    waiting = threading.Event()
    look_up = socket.getaddrinfo

    def hang(host, *arguments):
        waiting.wait(30)
        return look_up(host, *arguments)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    sink = make(server.origin, connect_timeout_seconds=0.3)
    started = time.monotonic()
    with pytest.raises(SinkUnavailableError, match="did not answer in time"):
        sink.open()
    assert time.monotonic() - started < within(2.0)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "resolve")
    assert thread.daemon
    waiting.set()
    thread.join(30)
    assert not thread.is_alive()
    sink.open()
    sink.deliver(MESSAGES[:1])
    assert len(server.accepted) == 1


def test_a_proxy_is_used_only_if_configured(server, make, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://nobody.invalid:3128")
    sink = make(server.origin)
    sink.open()
    sink.deliver(MESSAGES[:1])
    proxy = WebhookServer()
    try:
        sink = make("http://hook.invalid/path", proxy=f"http://user:pass@localhost:{proxy.port}")
        sink.open()
        sink.deliver(MESSAGES[:1])
        assert proxy.requests[0].path == "http://hook.invalid/path"
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
    finally:
        proxy.stop()
    assert len(server.accepted) == 1


def test_equal_events_have_equal_keys_at_every_attempt(server, make):
    for content_mode in ("structured", "binary", "batched"):
        sink = make(server.origin, content_mode=content_mode)
        sink.open()
        for _ in range(2):
            sink.deliver(MESSAGES[:2])
    keys = [request.headers["webhook-id"] for request in server.requests]
    assert [request.headers["idempotency-key"] for request in server.requests] == [f'"{key}"' for key in keys]
    first, second, batch = keys[0], keys[1], keys[-1]
    assert keys == [first, second] * 4 + [batch] * 2
    assert len({first, second, batch}) == 3


def test_credentials_are_sent(server, make):
    for settings in (
        {"bearer_token": "canary"},
        {"basic": {"user": "me", "password": "pass"}},
        {"headers": {"X-Key": "k", "User-Agent": "us"}},
    ):
        sink = make(server.origin, **settings)
        sink.open()
        sink.deliver(MESSAGES[:1])
    bearer, basic, own = (request.headers for request in server.requests)
    assert bearer["authorization"] == "Bearer canary"
    assert basic["authorization"] == "Basic bWU6cGFzcw=="
    assert (own["x-key"], own["user-agent"]) == ("k", "us")
    assert basic["user-agent"].startswith("edge-hoi/")


def test_an_idle_connection_that_the_server_closed_is_no_failure(server, make):
    sink = make(server.origin)
    sink.open()

    def take_and_hang_up(handler):
        answer(200, Connection="close")(handler)
        handler.close_connection = True

    server.behave(take_and_hang_up, take_and_hang_up)
    sink.deliver(MESSAGES[:1])
    time.sleep(0.05)
    sink.deliver(MESSAGES[1:2])
    assert json.loads(server.requests[1].body)["id"] == MESSAGES[1].id
