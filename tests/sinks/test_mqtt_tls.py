"""TLS to a real Mosquitto, with authorities created for the test."""

import ssl

import pytest
from sample_events import make_episode
from servers.mosquitto import Listener, Mosquitto, require_mosquitto

from edge_hoi.errors import SinkFaultError, SinkUnavailableError
from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.mqtt import MqttSettings

trustme = pytest.importorskip("trustme", reason="needs trustme to make certificates: pip install '.[dev]'")
# The client library does not close the socket of a failed handshake.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
EVENTS = [Message.of(event, position) for position, event in enumerate(make_episode(), 1)]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """Return a folder of PEM files: of the authority, of another one, and of a client."""
    folder = tmp_path_factory.mktemp("certificates")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    client = authority.issue_cert("client.test", common_name="camera")
    client.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    return folder


@pytest.fixture
def start_broker(authority, files, tmp_path):
    require_mosquitto()
    brokers = []

    def start(*lines, name="127.0.0.1"):
        certificate = authority.issue_cert(name)
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        paths = [f"cafile {files / 'ca.pem'}", f"certfile {tmp_path / 'cert.pem'}", f"keyfile {tmp_path / 'key.pem'}"]
        brokers.append(Mosquitto(tmp_path / "broker", lines=[*paths, *lines]))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.stop()


def make_sink(broker, tls, **settings):
    return MqttSettings(host="127.0.0.1", port=broker.port, tls=tls, timeout_seconds=3, **settings).make(SinkContext("site", ("gate",)))


def test_events_are_delivered_over_tls_with_the_configured_authority(start_broker, files):
    broker = start_broker()
    listener = Listener(broker.port, "edge-hoi/+/interactions", tls=ssl.create_default_context(cafile=files / "ca.pem"))
    with make_sink(broker, {"ca_file": str(files / "ca.pem")}) as sink:
        sink.deliver(EVENTS)
        assert [message.payload for message in listener.received()] == [message.body for message in EVENTS]
    listener.stop()


@pytest.mark.parametrize("ca", ["other.pem", None])
def test_a_certificate_of_another_authority_is_refused(start_broker, files, ca):
    sink = make_sink(start_broker(), {"ca_file": str(files / ca)} if ca else {})
    with pytest.raises(SinkFaultError, match=r"the certificate of MQTT broker .* is not trusted.*set its authority as `ca_file`"):
        sink.open()


def test_a_certificate_of_another_name_is_refused(start_broker, files):
    sink = make_sink(start_broker(name="broker.test"), {"ca_file": str(files / "ca.pem")})
    with pytest.raises(SinkFaultError, match=r"not trusted.*127.0.0.1"):
        sink.open()


def test_verification_can_be_disabled_explicitly(start_broker):
    with make_sink(start_broker(name="broker.test"), {"verify": False}) as sink:
        sink.deliver(EVENTS)


def test_a_client_certificate_is_accepted_and_a_missing_one_is_explained(start_broker, files):
    broker = start_broker("require_certificate true")
    ca = str(files / "ca.pem")
    with make_sink(broker, {"ca_file": ca, "certificate_file": str(files / "client.pem")}) as sink:
        sink.deliver(EVENTS)
    with pytest.raises(SinkUnavailableError, match="does it require a client certificate"):
        make_sink(broker, {"ca_file": ca}).open()


def test_a_mismatch_of_tls_and_port_is_explained(start_broker, files, tmp_path):
    encrypted = start_broker()
    with pytest.raises(SinkUnavailableError, match="does it support MQTT 5 on this port, without TLS"):
        make_sink(encrypted, None).open()
    plain = Mosquitto(tmp_path / "plain")
    try:
        with pytest.raises((SinkFaultError, SinkUnavailableError), match=r"TLS|tls"):
            make_sink(plain, {"ca_file": str(files / "ca.pem")}).open()
    finally:
        plain.stop()


def test_invalid_certificate_files_are_reported_at_the_start(files, tmp_path):
    pytest.importorskip("paho.mqtt.client", reason="needs the extra: pip install '.[mqtt]'")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for tls, expected in [
        ({"ca_file": str(tmp_path / "missing.pem")}, "No such file.*check ca_file"),
        ({"ca_file": str(nonsense)}, "not PEM.*check ca_file"),
        ({"certificate_file": str(nonsense)}, "not PEM.*check certificate_file"),
    ]:
        with pytest.raises(SinkFaultError, match=expected):
            MqttSettings(host="h", tls=tls).make(SinkContext("site"))


def test_the_password_of_an_encrypted_key_is_used_and_never_shown(authority, tmp_path):
    pytest.importorskip("paho.mqtt.client", reason="needs the extra: pip install '.[mqtt]'")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization", reason="needs cryptography: pip install '.[dev]'")
    client = authority.issue_cert("client.test")
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"k@y/p%ss")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    (tmp_path / "key.pem").write_bytes(key.private_bytes(*form))
    client.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    tls = {"certificate_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    assert MqttSettings(host="h", tls={**tls, "key_password": "k@y/p%ss"}).make(SinkContext("site")) is not None
    for wrong in ({}, {"key_password": "wr@ng"}):
        with pytest.raises(SinkFaultError, match="check certificate_file, key_file and key_password") as caught:
            MqttSettings(host="h", tls={**tls, **wrong}).make(SinkContext("site"))
        assert "wr@ng" not in str(caught.value)
