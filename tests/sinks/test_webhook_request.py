import json
from dataclasses import replace

import pytest
from scripted import HUMAN, OBJECT, RIDE, play, times

from edge_hoi.errors import ConfigError
from edge_hoi.events.cloudevents import render as envelope_of
from edge_hoi.sinks import Message
from edge_hoi.sinks.webhook.request import WebhookRequest, render, signature_headers, signing_key

EVENT = replace(play(lambda pts: [(HUMAN, OBJECT, RIDE, 0.8)], times(10, 2))[0], camera="Tür 100%", text='person "riding" bicycle')
MESSAGE = Message.of(EVENT)


def test_the_signature_matches_the_example_of_standard_webhooks():
    request = WebhookRequest("msg_p5jXN8AQM9LWM0D4loKWxJek", {}, b'{"test": 2432232314}')
    headers = signature_headers(request, signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 1614265330)
    assert headers == {
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_signature_changes_with_time_body_and_key():
    request = render([MESSAGE], "structured")
    signatures = {
        signature_headers(each, key, seconds)["webhook-signature"]
        for each, key, seconds in [
            (request, b"key", 1),
            (request, b"key", 2),
            (request, b"yek", 1),
            (request._replace(body=request.body + b" "), b"key", 1),
            (request._replace(key="other"), b"key", 1),
        ]
    }
    assert len(signatures) == 5


def test_any_text_is_a_signing_secret_and_invalid_base64_is_refused():
    assert signing_key("päss") == "päss".encode()
    with pytest.raises(ConfigError, match="base64"):
        signing_key("whsec_not base64")


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_sdk_of_cloudevents_reads_a_request(mode):
    http = pytest.importorskip("cloudevents.core.bindings.http", reason="needs the CloudEvents SDK: pip install '.[dev]'")
    request = render([MESSAGE], mode)
    read = http.from_http_event(http.HTTPMessage(request.headers, request.body))
    expected = envelope_of(EVENT)
    attributes = {**read.get_attributes(), "time": expected["time"]}
    assert attributes == {name: value for name, value in expected.items() if name != "data"}
    assert read.get_time().isoformat(timespec="microseconds").replace("+00:00", "Z") == expected["time"]
    assert read.get_data() == expected["data"]


def test_a_batch_is_a_list_of_structured_events():
    assert json.loads(render([MESSAGE, MESSAGE], "batched").body) == [envelope_of(EVENT)] * 2


def test_headers_of_the_binary_mode_are_ascii_and_quoted_as_the_binding_says():
    headers = render([Message.of(replace(EVENT, site="a b"))], "binary").headers
    assert headers["ce-source"] == "/a%2520b/T%25C3%25BCr%2520100%2525"
    assert headers["ce-partitionkey"] == "T%C3%BCr%20100%25"
    assert headers["content-type"] == "application/json"
    assert all(value.isascii() and value.isprintable() for value in headers.values())
