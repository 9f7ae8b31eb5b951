"""The Kafka sink with a real Apache Kafka; the contract tests of all sinks are in `test_sinks`."""

import json
import logging
import random
import sys
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import replace

import pytest
from busy_machine import within
from sample_events import make_episode
from servers import kafka_broker
from servers.certificates import HAS_OPENSSL, make_certificate
from servers.kafka_broker import PASSWORD, STRANGER, USER, KafkaBroker

from edge_hoi.config import load_config
from edge_hoi.errors import EventRefusedError, MissingDependencyError, SinkFaultError, SinkUnavailableError
from edge_hoi.outbox import Delivery, Outbox, OutboxReader, Relay
from edge_hoi.sinks import Message, RetrySettings, SinkContext
from edge_hoi.sinks.kafka.settings import KafkaSettings

KEY_PASSWORD = "key p@ss/w%rd-canary"
PATIENT = 25.0
"""Timeout where an answer is certain to come."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    if not HAS_OPENSSL:
        pytest.skip("no openssl to make certificates with: apt-get install openssl")
    folder = tmp_path_factory.mktemp("certificates")
    return {"server": make_certificate(folder, "server"), "client": make_certificate(folder, "client", password=KEY_PASSWORD)}


@pytest.fixture(scope="module")
def module_broker(tmp_path_factory, certificates):
    pytest.importorskip("confluent_kafka", reason="needs the extra: pip install '.[kafka]'")
    if kafka_broker.missing():
        pytest.skip(kafka_broker.missing())
    broker = KafkaBroker(
        tmp_path_factory.mktemp("kafka"), server_certificate=certificates["server"], client_certificate=certificates["client"][0]
    )
    yield broker
    broker.kill()


@pytest.fixture
def broker(module_broker):
    if not module_broker.is_running:
        module_broker.start()
    return module_broker


@pytest.fixture
def topic(broker):
    name = f"events-{uuid.uuid4()}"
    broker.create_topic(name, partitions=3)
    return name


@pytest.fixture
def make_sink(broker, topic):
    """Return a function that creates a sink to `topic`, closed after the test: `make_sink("SASL_SSL", **settings)`."""
    sinks = []

    def make(listener="PLAINTEXT", **settings):
        settings = {"brokers": [broker.address(listener)], "topic": topic, "timeout_seconds": PATIENT, **settings}
        sinks.append(KafkaSettings.model_validate(settings).make(SinkContext("site")))
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()


def messages_of(*episodes):
    """Interleave the events of episodes, as from several cameras."""
    events = [event for together in zip(*episodes, strict=True) for event in together]
    return [Message.of(event, position) for position, event in enumerate(events, 1)]


def some_messages(updates=3):
    return messages_of(*(make_episode(updates, camera=camera) for camera in ("gate", "dock", "Tür")))


def oversized(message):
    """Create an incompressible event of 9 kB."""
    noise = "".join(map(chr, random.Random(0).choices(range(0x4E00, 0x9FFF), k=3000)))
    return Message.of(replace(message.event, text=noise), message.position)


def envelopes(records):
    return [json.loads(record.value()) for record in records]


def by_camera(ids_and_cameras):
    """Group ids by camera, without duplicates, in order of arrival."""
    groups = defaultdict(dict)
    for name, camera in ids_and_cameras:
        groups[camera][name] = None
    return {camera: list(names) for camera, names in groups.items()}


def sent(messages):
    return by_camera((message.id, message.event.camera) for message in messages)


def received(records):
    return by_camera((envelope["id"], envelope["partitionkey"]) for envelope in envelopes(records))


# Records


def test_the_events_of_a_camera_have_its_name_as_key_and_stay_in_order_in_one_partition(broker, topic, make_sink):
    messages = some_messages()
    make_sink().deliver(messages)
    records = broker.records(topic)
    assert received(records) == sent(messages)
    partitions = defaultdict(set)
    for record in records:
        assert record.key().decode() == json.loads(record.value())["partitionkey"]
        partitions[record.key()].add(record.partition())
    assert len(partitions) == 3
    assert all(len(numbers) == 1 for numbers in partitions.values())


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_sdk_of_cloudevents_reads_both_modes(broker, topic, make_sink, mode):
    kafka = pytest.importorskip("cloudevents.core.bindings.kafka", reason="needs the CloudEvents SDK: pip install '.[dev]'")
    formats = pytest.importorskip("cloudevents.core.formats.json", reason="needs the CloudEvents SDK: pip install '.[dev]'")
    (message, *_) = some_messages()
    make_sink(mode=mode).deliver([message])
    (record,) = broker.records(topic)
    arrived = kafka.KafkaMessage(headers=dict(record.headers()), key=record.key(), value=record.value())
    assert ("ce_id" in arrived.headers) == (mode == "binary")
    event = kafka.from_kafka(arrived, formats.JSONFormat())
    expected = json.loads(message.body)
    assert event.get_data() == expected.pop("data")
    attributes = event.get_attributes()
    assert attributes.pop("time").isoformat(timespec="microseconds").replace("+00:00", "Z") == expected.pop("time")
    assert attributes == expected


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_supported(broker, topic, make_sink, compression):
    messages = some_messages()
    make_sink(compression=compression).deliver(messages)
    assert received(broker.records(topic)) == sent(messages)


def test_records_carry_the_time_of_writing_because_brokers_delete_by_it(broker, topic, make_sink):
    before = time.time()
    make_sink().deliver(messages_of(make_episode(is_live=False))[:1])
    (record,) = broker.records(topic)
    assert before - 1 <= record.timestamp()[1] / 1000 <= time.time() + 1


# Authentication


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_passwords_are_sent_over_tls(broker, topic, make_sink, certificates, mechanism):
    sasl = {"mechanism": mechanism, "user": USER, "password": PASSWORD}
    make_sink("SASL_SSL", sasl=sasl, tls={"ca_file": str(certificates["server"][0])}).deliver(some_messages())
    assert received(broker.records(topic))


def client_certificate(certificates, password=KEY_PASSWORD):
    certificate, key = map(str, certificates["client"])
    return {
        "ca_file": str(certificates["server"][0]),
        "certificate_file": certificate,
        "key_file": key,
        "key_password": password,
    }


def test_a_client_certificate_is_accepted(broker, topic, make_sink, certificates):
    make_sink("SSL", tls=client_certificate(certificates)).deliver(some_messages())
    assert received(broker.records(topic))


def wrong_ways_in(certificates):
    """Return, by the mistake, a listener, settings, and the expected error."""
    server = {"ca_file": str(certificates["server"][0])}
    user = {"mechanism": "SCRAM-SHA-256", "user": USER, "password": PASSWORD}
    return {
        "password": ("SASL_PLAINTEXT", {"sasl": {**user, "password": KEY_PASSWORD}}, "Authentication failed.*; check `sasl`"),
        "plain password": ("SASL_PLAINTEXT", {"sasl": {**user, "mechanism": "PLAIN", "user": "nobody"}}, "Authentication failed.*`sasl`"),
        "mechanism": ("SASL_PLAINTEXT", {"sasl": {**user, "mechanism": "SCRAM-SHA-512"}}, "mechanism.*; check `sasl`"),
        "rights": ("SASL_PLAINTEXT", {"sasl": {**user, "user": STRANGER}}, "authorization failed; give the user permission to write"),
        "authority": ("SASL_SSL", {"sasl": user, "tls": {"ca_file": str(certificates["client"][0])}}, "certificate verify failed.*`tls`"),
        "no client certificate": ("SSL", {"tls": server}, "certificate.*; check `tls`"),
        "key's password": ("SSL", {"tls": client_certificate(certificates, PASSWORD)}, r"ssl\.key\.location failed.*settings"),
        "no such file": ("SSL", {"tls": {"ca_file": "/nowhere/ca.pem"}}, r"ssl\.ca\.location failed.*settings"),
    }


@pytest.mark.parametrize(
    "what", ["password", "plain password", "mechanism", "rights", "authority", "no client certificate", "key's password", "no such file"]
)
def test_a_wrong_configuration_is_a_fault_that_names_the_fix_and_shows_no_secret(make_sink, certificates, caplog, what):
    caplog.set_level(logging.DEBUG)
    listener, settings, says = wrong_ways_in(certificates)[what]
    sink = make_sink(listener, **settings)
    with pytest.raises(SinkFaultError, match=says) as caught:
        sink.open()
    shown = repr(sink) + repr(caught.value) + repr(caught.value.__cause__) + caplog.text
    assert PASSWORD not in shown
    assert KEY_PASSWORD not in shown


def test_a_connection_without_tls_to_a_broker_with_tls_names_the_settings_to_check(make_sink):
    with pytest.raises(SinkUnavailableError, match="expect this `sasl` and `tls`"):
        make_sink("SASL_SSL", timeout_seconds=3).open()


def test_messages_of_librdkafka_are_logged_with_secrets_masked(caplog):
    pytest.importorskip("confluent_kafka", reason="needs the extra: pip install '.[kafka]'")
    caplog.set_level(logging.DEBUG, logger="edge_hoi.sinks.kafka.sink")
    settings = KafkaSettings.model_validate(
        {"brokers": ["127.0.0.1:1"], "topic": "t", "timeout_seconds": 2, "sasl": {"user": USER, "password": PASSWORD}}
    )
    sink = settings.make(SinkContext("site"))
    with pytest.raises(SinkUnavailableError, match="Connection refused"):
        sink.open()
    sink.log(40, "%s [%s] %s", "CONF", "rdkafka", f"sasl.password={PASSWORD}")
    assert "Connect to ipv4#127.0.0.1:1 failed" in caplog.text
    assert "sasl.password=***" in caplog.text
    assert PASSWORD not in caplog.text + repr(settings)


# Topics


def test_a_missing_topic_is_a_fault_until_it_is_created(broker, make_sink):
    name = f"late-{uuid.uuid4()}"
    sink = make_sink(topic=name)
    with pytest.raises(SinkFaultError, match=r"Unknown topic.*; create it, or set `create_topic: true`"):
        sink.open()
    broker.create_topic(name)
    sink.open()
    sink.deliver(some_messages())
    assert received(broker.records(name))


def test_a_missing_topic_is_created_on_request(broker, make_sink):
    name = f"new-{uuid.uuid4()}"
    sink = make_sink(topic=name, create_topic=True)
    for _ in range(50):
        try:
            sink.open()
        except SinkUnavailableError:
            time.sleep(0.1)
        else:
            break
    messages = some_messages()
    sink.deliver(messages)
    assert received(broker.records(name)) == sent(messages)


def test_a_deleted_topic_is_a_fault(broker, topic, make_sink):
    sink = make_sink(timeout_seconds=3)
    sink.deliver(some_messages())
    broker.delete_topic(topic)
    for _ in range(20):
        with pytest.raises((SinkUnavailableError, SinkFaultError)) as caught:
            sink.deliver(some_messages())
        if caught.type is SinkFaultError:
            break
    assert "create it" in str(caught.value)


# Refusals


def test_an_oversized_event_is_refused_and_those_before_it_are_delivered(broker, make_sink):
    name = f"small-{uuid.uuid4()}"
    broker.create_topic(name, max_message_bytes=4000)
    messages = messages_of(make_episode(6))
    messages[3] = oversized(messages[3])
    sink = make_sink(topic=name)
    with pytest.raises(EventRefusedError, match=r"too large; raise the topic's `max\.message\.bytes`") as caught:
        sink.deliver(messages)
    assert caught.value.delivered == 3
    assert received(broker.records(name)) == sent(messages[:3])
    sink.deliver(messages[4:])
    assert received(broker.records(name)) == sent(messages[:3] + messages[4:])


def test_events_that_are_too_large_only_together_arrive(broker, make_sink):
    name = f"small-{uuid.uuid4()}"
    broker.create_topic(name, max_message_bytes=4000)
    messages = messages_of(make_episode(20))
    make_sink(topic=name, compression="none").deliver(messages)
    assert received(broker.records(name)) == sent(messages)


# Outages


@pytest.mark.slow
def test_an_idle_sink_detects_that_its_broker_is_down_and_up_again(broker, topic, make_sink, wait_for):
    sink = make_sink()
    sink.open()
    broker.kill()
    with pytest.raises(SinkUnavailableError, match="Connection refused"):
        wait_for(sink.open, 60)  # returns None while the broker is up
    broker.start()
    messages = some_messages()
    sink.deliver(messages)
    assert received(broker.records(topic)) == sent(messages)


def test_a_broker_that_does_not_answer_blocks_delivery_only_until_the_timeout(broker, topic, make_sink):
    sink = make_sink(timeout_seconds=4)
    messages = some_messages()
    sink.deliver(messages[:1])
    broker.freeze()
    try:
        for _ in range(2):  # an open connection, then a new one, neither answered
            started = time.monotonic()
            with pytest.raises(SinkUnavailableError, match="this is retried"):
                sink.deliver(messages[1:])
            assert time.monotonic() - started < within(6)
        sink.deliver([])
        pytest.fail("the broker did not answer, but nothing was raised")
    except SinkUnavailableError:
        started = time.monotonic()
        sink.close()
        assert time.monotonic() - started < within(1)
    finally:
        broker.thaw()
    make_sink().deliver(messages[1:])
    assert received(broker.records(topic)) == sent(messages)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_event_is_lost_or_reordered_while_the_broker_is_killed_repeatedly(broker, topic, make_sink, tmp_path, wait_for):
    broker.kill()
    cameras = [f"camera-{number}" for number in range(4)]
    messages = messages_of(*(make_episode(500, camera=camera) for camera in cameras))
    outbox = Outbox(tmp_path / "outbox.sqlite")
    quick = RetrySettings(initial_wait_seconds=0.1, max_wait_seconds=0.5)
    relay = Relay("kafka", make_sink(timeout_seconds=5), outbox, batch_size=20, retry=quick)
    delivery = Delivery(outbox, [relay])
    delivery.start()

    def put_slowly():
        for first in range(0, len(messages), 8):
            delivery.put([message.event for message in messages[first : first + 8]])
            time.sleep(0.02)

    putting = threading.Thread(target=put_slowly)
    putting.start()
    for killed_at in (400, 1200):
        broker.start()
        wait_for(lambda at=killed_at: relay.status().delivered >= at, 120)
        broker.kill()
    broker.start()
    putting.join()
    wait_for(lambda: relay.status().delivered >= len(messages) and outbox.is_written, 120)
    delivery.close()
    assert received(broker.records(topic)) == sent(messages)


def test_an_oversized_event_becomes_a_dead_letter_and_the_others_arrive(broker, make_sink, tmp_path, wait_for):
    name = f"small-{uuid.uuid4()}"
    broker.create_topic(name, max_message_bytes=4000)
    messages = messages_of(make_episode(6))
    messages[2] = oversized(messages[2])
    outbox = Outbox(tmp_path / "outbox.sqlite")
    relay = Relay("kafka", make_sink(topic=name), outbox, retry=RetrySettings(initial_wait_seconds=0.01, max_refusals=2))
    delivery = Delivery(outbox, [relay])
    delivery.start()
    delivery.put([message.event for message in messages])
    wait_for(lambda: outbox.is_written and relay.status().waiting == 0 and relay.status().dead == 1)
    delivery.close()
    with OutboxReader(tmp_path / "outbox.sqlite") as reader:
        (letter,) = reader.dead_letters()
    assert letter.message.id == messages[2].id
    assert "too large" in letter.reason
    assert received(broker.records(name)) == sent(messages[:2] + messages[3:])


# Settings


def test_a_missing_client_library_is_reported_with_its_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    for module in ("sink", "failures"):
        monkeypatch.delitem(sys.modules, f"edge_hoi.sinks.kafka.{module}", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[kafka\]'"):
        KafkaSettings(brokers=("host:9092",), topic="events").make(SinkContext("site"))


def test_an_unencrypted_password_is_warned_about(caplog):
    pytest.importorskip("confluent_kafka", reason="needs the extra: pip install '.[kafka]'")
    sasl = {"mechanism": "PLAIN", "user": USER, "password": PASSWORD}
    KafkaSettings(brokers=("host:9092",), topic="events", sasl=sasl).make(SinkContext("site"))
    assert "sink kafka sends its password unencrypted: add `tls: {}`" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("address", ["host", "kafka://host:9092", "host:port", "user:password@host:9092", "a:1,b:2"])
def test_a_broker_is_named_by_host_and_port(address):
    with pytest.raises(ValueError, match="brokers"):
        KafkaSettings(brokers=(address,), topic="events")


def test_the_shipped_configuration_is_read(repository, monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("CAMERA_PASSWORD", PASSWORD)
    config = load_config(repository / "configs" / "kafka.yaml")
    (sink,) = config.sinks
    assert sink.client_settings()["security.protocol"] == "SASL_SSL"
    assert PASSWORD not in repr(sink)
