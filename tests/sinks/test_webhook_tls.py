import ssl
from base64 import b64decode
from datetime import datetime, timedelta

import pytest
from scripted import HUMAN, OBJECT, RIDE, play, times
from servers.tunnel_proxy import TunnelProxy
from servers.webhook_server import WebhookServer

from edge_hoi.compat import UTC
from edge_hoi.errors import SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.webhook.settings import WebhookSettings

pytest.importorskip("httpx", reason="needs the extra: pip install '.[webhook]'")
trustme = pytest.importorskip("trustme", reason="needs trustme to make certificates: pip install '.[dev]'")

MESSAGES = [Message.of(event) for event in play(lambda pts: [(HUMAN, OBJECT, RIDE, 0.8)], times(10, 2))]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """Return a folder with the files of a configuration."""
    folder = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, maker in (("client", authority), ("stranger", trustme.CA())):
        certificate = maker.issue_cert("box@site.example")
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    return folder


@pytest.fixture
def start(authority):
    """Return a function that starts a server with a certificate of the authority."""
    servers = []

    def start_server(name="localhost", *, asks_for_certificate=False, newest=None, **validity):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name, **validity).configure_cert(context)
        if asks_for_certificate:
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        if newest:
            context.maximum_version = newest
        servers.append(WebhookServer(context))
        return servers[-1]

    yield start_server
    for server in servers:
        server.stop()


def post(url, **tls):
    with WebhookSettings(url=url, tls={name: str(value) if name != "verify" else value for name, value in tls.items()}).make(
        SinkContext("site")
    ) as sink:
        sink.deliver(MESSAGES)


def test_a_configured_authority_is_trusted(start, files):
    server = start()
    post(server.origin, ca_file=files / "ca.pem")
    assert len(server.accepted) == len(MESSAGES)


def test_a_certificate_of_an_unknown_authority_is_a_fault_that_names_the_setting(start):
    server = start()
    with pytest.raises(SinkFaultError, match=r"the certificate of .* is not trusted .*`ca_file`"):
        post(server.origin)
    assert server.requests == []


def test_a_certificate_for_another_name_is_a_fault(start, files):
    with pytest.raises(SinkFaultError, match="Hostname mismatch"):
        post(start("other.example").origin, ca_file=files / "ca.pem")


def test_an_expired_certificate_is_a_fault(start, files):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    server = start(not_before=yesterday - timedelta(days=1), not_after=yesterday)
    with pytest.raises(SinkFaultError, match=r"expired.*clock"):
        post(server.origin, ca_file=files / "ca.pem")


def test_without_verification_any_certificate_is_accepted_with_a_warning(start, caplog):
    server = start("other.example")
    post(server.origin, verify=False)
    assert len(server.accepted) == len(MESSAGES)
    assert "does not verify its server" in caplog.text


def test_a_client_certificate_is_presented(start, files):
    server = start(asks_for_certificate=True)
    post(server.origin, ca_file=files / "ca.pem", certificate_file=files / "client.pem")
    assert len(server.accepted) == len(MESSAGES)


@pytest.mark.parametrize("client", [{}, {"certificate_file": "stranger.pem"}], ids=["none", "a stranger's"])
def test_without_the_right_client_certificate_it_is_a_fault(start, files, client):
    server = start(asks_for_certificate=True, newest=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(SinkFaultError, match="certificate_file"):
        post(server.origin, ca_file=files / "ca.pem", **{name: files / file for name, file in client.items()})
    server = start(asks_for_certificate=True)  # in TLS 1.3 the server's refusal may be lost with the connection
    with pytest.raises(SinkError):
        post(server.origin, ca_file=files / "ca.pem", **{name: files / file for name, file in client.items()})
    assert server.requests == []


def test_tls_through_a_proxy_is_end_to_end_and_verified(start, files):
    server, proxy = start(), TunnelProxy()
    settings = {"url": server.origin, "proxy": f"http://me:p%40ss@localhost:{proxy.port}"}
    try:
        with WebhookSettings(**settings, tls={"ca_file": str(files / "ca.pem")}).make(SinkContext("site")) as sink:
            sink.deliver(MESSAGES)
        with (
            WebhookSettings(**settings).make(SinkContext("site")) as sink,
            pytest.raises(SinkFaultError, match=r"certificate of .* is not trusted"),
        ):
            sink.deliver(MESSAGES)
    finally:
        proxy.stop()
    assert len(server.accepted) == len(MESSAGES)
    method, target, headers = proxy.asked[0]
    assert (method, target) == ("CONNECT", f"localhost:{server.port}")
    assert b64decode(headers["proxy-authorization"].removeprefix("Basic ")) == b"me:p@ss"
    assert "webhook-id" not in headers


def test_https_to_a_port_without_tls_is_explained(start):
    server = WebhookServer()
    try:
        with pytest.raises(SinkFaultError, match="such as http://"):
            post(server.origin.replace("http:", "https:"))
    finally:
        server.stop()


def test_http_to_a_port_with_tls_delivers_nothing(start):
    server = start()
    with pytest.raises(SinkUnavailableError):
        post(server.origin.replace("https:", "http:"))
    assert server.requests == []


def test_invalid_certificate_files_are_reported(files, tmp_path):
    (tmp_path / "text.pem").write_text("hello")
    for tls, words in [
        ({"ca_file": tmp_path / "none.pem"}, "none.pem: No such file.*check ca_file"),
        ({"ca_file": tmp_path / "text.pem"}, "text.pem: not PEM"),
        ({"certificate_file": tmp_path / "none.pem"}, "none.pem: No such file"),
        ({"certificate_file": files / "ca.pem"}, "ca.pem: not PEM, or key and certificate do not match"),
    ]:
        with pytest.raises(SinkFaultError, match=words):
            WebhookSettings(url="https://localhost/", tls={name: str(path) for name, path in tls.items()}).make(SinkContext("site"))


def test_a_renewed_certificate_is_read_at_the_next_attempt(start, files, tmp_path):
    server = start()
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca_file)
    sink = WebhookSettings(url=server.origin, tls={"ca_file": str(ca_file)}).make(SinkContext("site"))
    with pytest.raises(SinkFaultError):
        sink.open()
    ca_file.write_bytes((files / "ca.pem").read_bytes())
    with sink:
        sink.deliver(MESSAGES)
    assert len(server.accepted) == len(MESSAGES)
