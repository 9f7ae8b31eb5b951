"""A canary password in every secret of a webhook's configuration, and servers that quote all they receive."""

import json
import logging
import traceback
from base64 import b64encode
from urllib.parse import quote

import pytest
from scripted import HUMAN, OBJECT, RIDE, play, times
from servers.webhook_server import WebhookServer, answer, reset

from edge_hoi.config import parse_config
from edge_hoi.errors import ConfigError, EdgeHoiError, SinkError
from edge_hoi.masking import mask
from edge_hoi.sinks import Message, SinkContext

pytest.importorskip("httpx", reason="needs the extra: pip install '.[webhook]'")

CANARY = 'kanari@/%41"bird'
FORMS = [CANARY, quote(CANARY), quote(CANARY, safe=""), json.dumps(CANARY)[1:-1], b64encode(f"me:{CANARY}".encode()).decode()]
MESSAGES = [Message.of(event) for event in play(lambda pts: [(HUMAN, OBJECT, RIDE, 0.8)], times(10, 2))]
PATH = f"/hooks/{quote(CANARY, safe='')}?key={quote(CANARY, safe='')}"
SETTINGS = [
    {"bearer_token": CANARY},
    {"basic": {"user": "me", "password": CANARY}},
    {"headers": {"X-Key": CANARY, "Authorization": f"Token {CANARY}"}},
    {"signing_secret": CANARY, "content_mode": "batched"},
    {"proxy": f"http://me:{quote(CANARY, safe='')}@localhost:1"},
]


def holds_no_canary(text):
    return not any(form in text for form in FORMS) and "kanari" not in text


def repeat(status, **headers):
    """Respond with everything that was received."""

    def behave(handler):
        received = [handler.path, *handler.headers.values(), CANARY, json.dumps(CANARY), quote(CANARY, safe="")]
        answer(status, " ".join(received).encode(), **headers)(handler)

    return behave


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: next(iter(settings)))
def test_no_secret_is_shown(settings, caplog):
    caplog.set_level(logging.DEBUG)
    server = WebhookServer()
    config = parse_config({"sinks": [{"type": "webhook", "url": server.origin + PATH, **settings}]}, origin="test")
    shown = [repr(config), config.model_dump_json(), str(config.model_dump())]
    sink = config.sinks[0].make(SinkContext("site"))
    behaviours = [repeat(200), repeat(400), repeat(401), repeat(500), reset, answer(302, Location=f"//me:{quote(CANARY)}@host{PATH}")]
    try:
        for behaviour in [*behaviours, None]:
            server.behave(behaviour)
            if behaviour is None:
                server.stop()
                sink.close()
            try:
                sink.open()
                sink.deliver(MESSAGES[:1])
            except SinkError as error:
                shown += [repr(error), *traceback.format_exception(error)]
    finally:
        sink.close()
        server.stop()
    shown += [repr(sink), caplog.text]
    assert len(shown) > 10
    assert [text for text in shown if not holds_no_canary(text)] == []
    if "proxy" not in settings:
        assert quote(CANARY, safe="") in server.requests[0].path  # it was sent


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": f"https://me:{CANARY}@host/"}, "url: "),
        ({"url": "https://me:kanari@host/"}, "basic"),
        ({"url": f"ftp://host/{CANARY}"}, "http://"),
        ({"url": f"https://host:{CANARY}/"}, "http://"),
        ({"url": f"https://ho st/{CANARY}"}, "spaces"),
        ({"url": f"https://-ä.host/{quote(CANARY)}"}, "is invalid"),
        ({"bearer_token": f"{CANARY}\n"}, "newline"),
        ({"headers": {"X-Key": f"{CANARY}\r\nEvil: yes"}}, "newline"),
        ({"headers": {"X Key": CANARY}}, "letters, digits"),
        ({"headers": {"Content-Type": CANARY}}, "set by edge-hoi"),
        ({"headers": {"ce-id": CANARY}}, "set by edge-hoi"),
        ({"headers": {"authorization": CANARY}, "bearer_token": CANARY}, "choose one of"),
        ({"signing_secret": f"whsec_{CANARY}"}, "base64"),
        ({"proxy": f"socks9://{CANARY}@host"}, "http://"),
        ({"tls": {"key_password": CANARY}}, "certificate_file"),
        ({"bearer_tokn": CANARY}, "did you mean 'bearer_token'"),
    ],
)
def test_an_invalid_setting_is_reported_without_secrets(settings, words):
    with pytest.raises(ConfigError, match=words) as caught:
        parse_config({"sinks": [{"type": "webhook", "url": "https://host/", **settings}]}, origin="test").sinks[0].make(SinkContext("site"))
    assert holds_no_canary("".join(traceback.format_exception(caught.value)))


def test_masking_covers_encoded_secrets_and_keeps_short_words():
    text = mask(f"a {CANARY} b {quote(CANARY)} c {json.dumps(CANARY)} d abc", [CANARY, "abc", ""])
    assert text == 'a *** b *** c "***" d abc'
    assert mask("nothing", []) == "nothing"


def test_a_missing_httpx_is_reported_with_its_install_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    config = parse_config({"sinks": [{"type": "webhook", "url": "https://host/"}]}, origin="test")
    with pytest.raises(EdgeHoiError, match=r"pip install '\.\[webhook\]'"):
        config.sinks[0].make(SinkContext("site"))


def test_a_servers_text_is_shortened_to_one_line():
    server = WebhookServer()
    try:
        server.behave(answer(422, b"no\r\n\x1b[31m such camera " + b"x" * 5000))
        sink = parse_config({"sinks": [{"type": "webhook", "url": server.origin}]}, origin="test").sinks[0].make(SinkContext("site"))
        with sink, pytest.raises(SinkError) as caught:
            sink.deliver(MESSAGES)
    finally:
        server.stop()
    assert "(no [31m such camera xxx" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
