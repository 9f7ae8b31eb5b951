"""The MQTT sink with a real Mosquitto; the contract tests of all sinks are in `test_sinks`."""

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from busy_machine import within
from sample_events import make_episode, make_events
from servers.mosquitto import Listener, retained

from edge_hoi.config import parse_config
from edge_hoi.errors import ConfigError, EventRefusedError, MissingDependencyError, SinkFaultError, SinkUnavailableError
from edge_hoi.outbox import Delivery, Outbox, Relay
from edge_hoi.sinks import Message, RetrySettings, SinkContext
from edge_hoi.sinks.mqtt import MqttSettings
from edge_hoi.sinks.mqtt.broker import Broker
from edge_hoi.sinks.mqtt.topics import Topics

CONTEXT = SinkContext("site", ("gate", "dock"))
CANARY = "c@nary/p%ss:wörd"


@pytest.fixture
def broker(start_broker):
    return start_broker()


@pytest.fixture
def listen():
    listeners = []

    def start(*arguments, **options):
        listeners.append(Listener(*arguments, **options))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.stop()


def make_sink(broker, *, context=CONTEXT, **settings):
    return MqttSettings(host="127.0.0.1", port=broker.port, **{"timeout_seconds": 3, **settings}).make(context)


def messages_of(events, first_position=1):
    return [Message.of(event, position) for position, event in enumerate(events, first_position)]


def in_zone(events, *zones):
    return [replace(event, zones=zones) for event in events]


def read_state(broker, topic):
    return json.loads(retained(broker.port, topic)[topic])


# Events


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_version_and_quality_of_service_delivers_events_unchanged(broker, listen, wait_for, version, qos):
    listener = listen(broker.port, "edge-hoi/+/interactions")
    messages = messages_of(make_episode(camera="gate"))
    with make_sink(broker, version=version, qos=qos) as sink:
        sink.deliver(messages)
    if qos == 0:  # not acknowledged
        wait_for(lambda: len(listener.received()) == len(messages))
    received = listener.received()
    assert [message.payload for message in received] == [message.body for message in messages]
    assert {message.topic for message in received} == {"edge-hoi/gate/interactions"}
    assert not any(message.retain for message in received)


def test_a_message_in_flight_when_the_connection_closes_arrives(broker, listen):
    from edge_hoi.sinks.mqtt.connection import Connection, Publication  # needs the client library

    listener = listen(broker.port, "sent/#")
    connection = Connection(Broker("127.0.0.1", broker.port, version="3.1.1", client_id="box", timeout_seconds=3), qos=0)
    connection.subscribe_retained(["echo"])  # version 3.1.1 returns a client's own messages
    time.sleep(0.3)
    threading.Timer(0.2, broker.thaw).start()
    broker.freeze()
    connection.publish([Publication("echo", b"again and again")] * 50 + [Publication("sent/one", b"under way")])
    connection.close()
    assert listener.wait_for(lambda message: message.payload == b"under way")


@pytest.mark.parametrize(("version", "qos"), [("5", 1), ("5", 2), ("3.1.1", 1)])
def test_more_messages_than_the_brokers_in_flight_limit_arrive_in_order(start_broker, listen, version, qos):
    broker = start_broker(lines=["max_inflight_messages 3"])
    listener = listen(broker.port, "edge-hoi/+/interactions")
    messages = messages_of(make_events(60))
    with make_sink(broker, version=version, qos=qos) as sink:
        sink.deliver(messages)
    assert [message.payload for message in listener.received()] == [message.body for message in messages]


def test_names_invalid_in_a_topic_level_are_encoded(broker, listen):
    listener = listen(broker.port)
    event = in_zone(make_episode(camera="a+b/#"), "Küche/2")[0]
    with make_sink(broker, context=SinkContext("site", ("a+b/#",))) as sink:
        sink.deliver(messages_of([event]))
        topics = {message.topic for message in listener.received()}
    assert {"edge-hoi/a%2Bb%2F%23/interactions", "edge-hoi/a%2Bb%2F%23/zones/K%C3%BCche%2F2/state"} < topics


# Retained messages


def test_availability_is_online_while_open_and_offline_after_a_close(broker):
    with make_sink(broker) as sink:
        sink.deliver([])
        assert retained(broker.port)["edge-hoi/availability"] == b"online"
    assert retained(broker.port)["edge-hoi/availability"] == b"offline"


def test_state_lists_the_current_interactions_per_camera_and_zone(broker):
    hold, ride = "a" * 32, "b" * 32
    riding = in_zone(make_episode(2, event_id=ride, camera="gate"), "yard")
    holding = [replace(event, text="person holding cup") for event in make_episode(2, event_id=hold, camera="gate")]
    with make_sink(broker) as sink:
        empty = {"camera": "dock", "active": 0, "text": "", "interactions": []}
        assert read_state(broker, "edge-hoi/dock/state") == empty
        sink.deliver(messages_of([riding[0], holding[0]]))
        gate = read_state(broker, "edge-hoi/gate/state")
        assert (gate["active"], gate["text"]) == (2, "person holding cup, person riding bicycle")
        assert [each["event_id"] for each in gate["interactions"]] == [hold, ride]
        assert read_state(broker, "edge-hoi/gate/zones/yard/state")["active"] == 1
        sink.deliver(messages_of([riding[1], riding[2], riding[3]], 3))
        assert read_state(broker, "edge-hoi/gate/state")["text"] == "person holding cup"
        assert read_state(broker, "edge-hoi/gate/zones/yard/state") == {"camera": "gate", "zone": "yard", **dict(list(empty.items())[1:])}
        assert read_state(broker, "edge-hoi/dock/state") == empty


def test_a_change_of_zone_updates_the_state_of_both_zones(broker):
    episode = make_episode(1)
    with make_sink(broker) as sink:
        sink.deliver(messages_of([*in_zone(episode[:1], "yard"), *in_zone(episode[1:2], "shed")]))
        assert read_state(broker, "edge-hoi/gate/zones/yard/state")["active"] == 0
        assert read_state(broker, "edge-hoi/gate/zones/shed/state")["active"] == 1


def test_an_old_event_that_is_delivered_again_does_not_reopen_its_episode(broker):
    messages = messages_of(make_episode(1))
    with make_sink(broker) as sink:
        sink.deliver(messages)
        sink.deliver(messages[:1])
        assert read_state(broker, "edge-hoi/gate/state")["active"] == 0


def test_state_is_restored_after_a_reconnect_to_a_broker_that_lost_it(broker):
    with make_sink(broker, home_assistant="homeassistant") as sink:
        sink.deliver(messages_of(in_zone(make_episode()[:1], "yard")))
        before = retained(broker.port)
        broker.stop(forget=True)
        broker.start()
        assert retained(broker.port) == {}
        open_until_reached(sink)
        assert retained(broker.port) == before
        assert json.loads(before["edge-hoi/gate/state"])["active"] == 1


def test_a_zones_state_of_a_killed_run_is_cleared(broker):
    sink = make_sink(broker)
    sink.open()
    sink.deliver(messages_of(in_zone(make_episode()[:1], "yard")))
    sink.close()
    assert read_state(broker, "edge-hoi/gate/zones/yard/state")["active"] == 1
    with make_sink(broker) as sink:
        deadline = time.monotonic() + 60
        while read_state(broker, "edge-hoi/gate/zones/yard/state")["active"]:
            assert time.monotonic() < deadline
            sink.open()
        assert read_state(broker, "edge-hoi/gate/state")["active"] == 0


def test_without_state_nothing_is_retained(broker):
    with make_sink(broker, state=False) as sink:
        sink.deliver(messages_of(make_episode()))
    assert retained(broker.port) == {}


def test_a_test_of_the_sink_changes_neither_the_running_one_nor_retained_messages(broker, listen):
    listener = listen(broker.port, "edge-hoi/+/interactions")
    with make_sink(broker) as running:
        running.deliver(messages_of(make_episode()[:1]))
        before = retained(broker.port)
        with make_sink(broker, context=replace(CONTEXT, is_test=True)) as test:
            test.deliver(messages_of(make_episode()))
        assert retained(broker.port) == before
        running.deliver(messages_of(make_episode()[:1], 10))
    assert len(listener.received()) == 7
    assert "already connected, closing old connection" not in broker.log.read_text()


PROGRAM = """
import json, sys
from sample_events import make_episode
from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.mqtt import MqttSettings
from edge_hoi.sinks.mqtt.broker import Broker
sink = MqttSettings(host="127.0.0.1", port=int(sys.argv[1])).make(SinkContext("site", ("gate",)))
sink.open()
sink.deliver([Message.of(make_episode()[0], 1)])
print("delivered", flush=True)
sys.stdin.read()
"""


def test_the_will_says_offline_when_the_program_is_killed(broker, listen, repository):
    listener = listen(broker.port, "edge-hoi/availability")
    environment = {"PYTHONPATH": f"{repository}:{repository / 'tests'}:{repository / 'tests' / 'sinks'}", "PATH": ""}
    command = [sys.executable, "-c", PROGRAM, str(broker.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"delivered\n"
        assert retained(broker.port)["edge-hoi/availability"] == b"online"
        process.send_signal(signal.SIGKILL)
    listener.wait_for(lambda message: message.payload == b"offline")
    assert retained(broker.port)["edge-hoi/availability"] == b"offline"


# Failures


def open_until_reached(sink, seconds=60.0):
    deadline = time.monotonic() + seconds
    while True:
        try:
            sink.open()
        except SinkUnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_no_event_is_lost_when_the_broker_restarts_repeatedly(broker, listen, tmp_path, wait_for):
    listener = listen(broker.port, "edge-hoi/+/interactions")
    retry = RetrySettings(initial_wait_seconds=0.02, max_wait_seconds=0.2)
    outbox = Outbox(tmp_path / "outbox.sqlite")
    delivery = Delivery(outbox, [Relay("mqtt", make_sink(broker), outbox, retry=retry)])
    events = make_events(200)
    broker.stop()
    delivery.start()
    for part in range(4):
        delivery.put(events[part * 250 : (part + 1) * 250])
        broker.start()
        wait_for(lambda enough=part * 250 + 20: delivery.statuses()[0].delivered >= enough, 30)
        broker.stop()
    broker.start()
    listener.wait_until_ready()
    delivery.put(events[1000:])
    delivery.finish(threading.Event())
    delivery.close()
    ids = [json.loads(message.payload)["id"] for message in listener.received()]
    assert list(dict.fromkeys(ids)) == [Message.of(event).id for event in events]


def test_a_broker_that_does_not_answer_is_detected_within_the_timeout_and_close_does_not_hang(broker):
    sink = make_sink(broker, timeout_seconds=1)
    sink.open()
    broker.freeze()
    started = time.monotonic()
    with pytest.raises(SinkUnavailableError, match="did not answer for 1 s"):
        sink.deliver(messages_of(make_episode()))
    assert time.monotonic() - started < within(3)
    broker.thaw()
    sink.open()
    broker.freeze()
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < within(1)
    broker.thaw()


def test_a_server_that_accepts_the_connection_but_does_not_answer_times_out(silent_server):
    pytest.importorskip("paho.mqtt.client", reason="needs the extra: pip install '.[mqtt]'")
    with pytest.raises(SinkUnavailableError, match=r"did not answer for 0\.5 s"):
        make_sink(silent_server, timeout_seconds=0.5).open()


def test_a_wrong_password_is_a_fault_that_shows_no_password(start_broker, caplog):
    caplog.set_level(logging.DEBUG)
    broker = start_broker(users={"camera": CANARY})
    with make_sink(broker, user="camera", password=CANARY) as sink:
        sink.deliver(messages_of(make_episode()))
    for version in ("5", "3.1.1"):
        sink = make_sink(broker, user="camera", password=CANARY + "x", version=version)
        with pytest.raises(SinkFaultError, match=r"Not authorized.*check `user`, `password`") as caught:
            sink.open()
        shown = [repr(sink), str(caught.value), repr(caught.value), repr(caught.value.__cause__), caplog.text]
        assert not any(CANARY in text for text in shown)
    assert CANARY not in repr(MqttSettings(host="h", user="camera", password=CANARY))


def test_a_topic_without_write_permission_is_a_fault_that_names_it_and_makes_the_program_offline(start_broker, listen):
    own = "".join(f"topic write edge-hoi/{name}\n" for name in ("+/state", "availability", "+/availability"))
    access = f"user camera\n{own}user reader\ntopic readwrite #\n"
    broker = start_broker(users={"camera": "secret", "reader": "secret"}, access=access)
    listener = listen(broker.port, "edge-hoi/availability", user="reader", password="secret")
    sink = make_sink(broker, user="camera", password="secret")
    sink.open()
    with pytest.raises(SinkFaultError, match="does not allow camera to publish to edge-hoi/gate/interactions") as caught:
        sink.deliver(messages_of(make_episode()))
    assert caught.value.delivered == 0
    listener.wait_for(lambda message: message.payload == b"offline")


def test_an_event_larger_than_the_brokers_limit_is_refused_and_the_next_is_delivered(start_broker, listen):
    broker = start_broker(lines=["max_packet_size 4000"])
    listener = listen(broker.port, "edge-hoi/+/interactions")
    small, large, *_, next_one = make_episode()
    large = replace(large, text="x" * 5000)
    with make_sink(broker, state=False) as sink:
        with pytest.raises(EventRefusedError, match="packets of at most 4000 bytes") as caught:
            sink.deliver(messages_of([small, large, next_one]))
        assert caught.value.delivered == 1
        sink.deliver(messages_of([next_one], 3))
    assert [json.loads(message.payload)["data"]["phase"] for message in listener.received()] == ["started", "ended"]


def test_two_programs_with_one_client_id_are_reported(broker):
    first, second = (make_sink(broker, client_id="twin") for _ in range(2))
    first.open()
    second.open()
    with pytest.raises(SinkUnavailableError, match="another client uses the client id 'twin'"):
        first.deliver(messages_of(make_episode()))
    first.close()
    second.close()


def test_an_unknown_host_is_retried():
    pytest.importorskip("paho.mqtt.client", reason="needs the extra: pip install '.[mqtt]'")
    with pytest.raises(SinkUnavailableError, match=r"MQTT broker no-such-host\.invalid:1883: unknown host name"):
        MqttSettings(host="no-such-host.invalid").make(CONTEXT).open()


# Settings


def test_client_ids_are_deterministic_short_and_unique_to_programs_sinks_and_tests():
    def client_id(context=CONTEXT, **settings):
        return MqttSettings(host="h", **settings)._client_id(context)

    assert client_id() == client_id()
    others = [
        client_id(),
        client_id(name="second"),
        client_id(replace(CONTEXT, site="other")),
        client_id(replace(CONTEXT, cameras=("desk",))),
        client_id(replace(CONTEXT, is_test=True)),
        client_id(client_id="mine"),
        client_id(replace(CONTEXT, is_test=True), client_id="mine"),
    ]
    assert len(set(others)) == len(others)
    assert all(len(each) <= 23 and each.isalnum() for each in others)


def test_the_default_port_depends_on_tls_and_the_default_prefix_on_the_format():
    pytest.importorskip("paho.mqtt.client", reason="needs the extra: pip install '.[mqtt]'")
    assert "h:1883" in repr(MqttSettings(host="h").make(CONTEXT))
    assert "h:8883" in repr(MqttSettings(host="h", tls={}).make(CONTEXT))
    assert "'edge-hoi'" in repr(MqttSettings(host="h").make(CONTEXT))
    assert "'frigate'" in repr(MqttSettings(host="h", format="frigate").make(CONTEXT))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"host": "mqtt://h"}, "host"),
        ({"host": "h", "password": CANARY}, "needs a `user`"),
        ({"host": "h", "state": False, "home_assistant": "homeassistant"}, "remove one of the two"),
        ({"host": "h", "prefix": "a/#"}, "prefix"),
        ({"host": "h", "qos": 3}, "qos"),
        ({"host": "h", "qoss": 1}, "did you mean 'qos'?"),
        ({"host": "h", "tls": {"ca_fil": "x"}}, "did you mean 'ca_file'?"),
    ],
)
def test_invalid_settings_are_refused_and_show_no_password(settings, expected):
    with pytest.raises(ConfigError) as caught:
        parse_config({"sinks": [{"type": "mqtt", **settings}]}, origin="test")
    assert expected in str(caught.value)
    assert CANARY not in str(caught.value)


def test_the_version_may_be_written_as_a_number():
    config = parse_config({"sinks": [{"type": "mqtt", "host": "h", "version": 5}]}, origin="test")
    assert config.sinks[0].version == "5"


def test_a_missing_client_library_is_reported_with_its_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[mqtt\]'"):
        MqttSettings(host="h").make(CONTEXT)


@pytest.mark.parametrize(
    ("topic", "place"),
    [
        ("site/gate/zones/door/state", ("gate", "door")),
        ("site/front%2Fgate/zones/a b/state", ("front/gate", "a b")),
        ("site/gate/state", None),
        ("site/gate/zones/door/other", None),
        ("site/gate/zones/do%6Fr/state", None),
        ("other/gate/zones/door/state", None),
        ("gate/zones/door/state", None),
        ("#", None),
        ("", None),
    ],
)
def test_only_the_topic_of_a_zones_state_names_a_zone(topic, place):
    assert Topics("site", "cloudevents").zone_of(topic) == place
