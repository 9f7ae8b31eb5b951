"""Redirects, proxies and TLS, with real servers."""

import hashlib
import ssl

import numpy as np
import pytest
from servers.ranges import RangeServer
from servers.tunnel_proxy import TunnelProxy

from edge_hoi.errors import DownloadError
from edge_hoi.hub import Pin, download

trustme = pytest.importorskip("trustme", reason="needs trustme to make certificates: pip install '.[dev]'")

CONTENT = np.random.RandomState(0).bytes(600_000)
PIN = Pin(hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def start(authority, tmp_path, monkeypatch):
    """Give a function that starts a server, with TLS and a certificate that this process trusts, or without."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    servers = []

    def start_server(*, tls=False, issuer=authority):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if tls else None
        if context:
            issuer.issue_cert("127.0.0.1").configure_cert(context)
        servers.append(RangeServer(CONTENT, context))
        return servers[-1]

    yield start_server
    for server in servers:
        server.stop()


@pytest.fixture
def proxy():
    proxy = TunnelProxy()
    yield proxy
    proxy.stop()


def fetch(url, folder):
    path = folder / "models" / "weights.pth"
    download(url, path, pin=PIN, pause_seconds=0.01)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("first", "second"), [(False, False), (False, True), (True, True)])
def test_redirects_to_the_same_scheme_or_a_better_one_are_followed_and_resumed(start, tmp_path, first, second):
    old, new = start(tls=first), start(tls=second)
    old.redirect_to, new.break_after = new.url, 400_000
    fetch(old.url, tmp_path)
    assert new.ranges == old.ranges == [None, "bytes=400000-"]


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "https://u:canary@127.0.0.1/x"])
def test_redirects_to_a_worse_address_are_refused(start, tmp_path, target):
    server = start(tls=True)
    server.redirect_to = target + "?token=canary"
    with pytest.raises(DownloadError, match=r"without encryption|begins with https|not allowed") as caught:
        fetch(server.url, tmp_path)
    assert "canary" not in str(caught.value)
    assert server.ranges == [None]
    assert list((tmp_path / "models").iterdir()) == []


def test_redirects_in_a_circle_end(start, tmp_path):
    server = start()
    server.redirect_to = server.url
    with pytest.raises(DownloadError, match="redirects without an end"):
        fetch(server.url, tmp_path)


def test_a_server_of_another_authority_is_not_trusted(start, tmp_path):
    server = start(tls=True, issuer=trustme.CA())
    with pytest.raises(DownloadError, match=r"cannot download https://.*certificate verify failed"):
        fetch(server.url, tmp_path)
    assert server.ranges == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_tls_goes_through_the_tunnel_of_a_proxy_with_its_password(start, proxy, tmp_path, monkeypatch, name):
    server = start(tls=True)
    monkeypatch.setenv(name, f"http://user:canary@127.0.0.1:{proxy.port}")
    server.break_after = 400_000
    fetch(server.url, tmp_path)
    assert [(method, host) for method, host, _ in proxy.asked] == [("CONNECT", server.url.split("/")[2])] * 2
    assert proxy.asked[0][2]["proxy-authorization"] == "Basic dXNlcjpjYW5hcnk="
    assert server.ranges == [None, "bytes=400000-"]


def test_plain_addresses_go_to_a_proxy_as_a_whole(start, tmp_path, monkeypatch):
    server = start()
    monkeypatch.setenv("HTTP_PROXY", server.url.rpartition("/")[0])
    fetch("http://publisher.invalid/weights.pth", tmp_path)
    assert server.asked == ["http://publisher.invalid/weights.pth"]


def test_the_password_of_a_proxy_is_not_sent_to_where_a_redirect_leads(start, tmp_path, monkeypatch):
    proxy, target = start(), start(tls=True)
    monkeypatch.setenv("HTTP_PROXY", proxy.url.rpartition("/")[0].replace("//", "//user:canary@"))
    proxy.redirect_to = target.url
    fetch("http://publisher.invalid/weights.pth", tmp_path)
    assert proxy.headers[0]["Proxy-Authorization"] == "Basic dXNlcjpjYW5hcnk="
    assert "Proxy-Authorization" not in target.headers[0]


@pytest.mark.parametrize("exempt", ["example.org,127.0.0.1", "*"])
def test_hosts_that_need_no_proxy_are_asked_themselves(start, proxy, tmp_path, monkeypatch, exempt):
    server = start(tls=True)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", exempt)
    fetch(server.url, tmp_path)
    assert proxy.asked == []


def test_a_proxy_that_is_off_is_named_without_its_password(start, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"through the proxy 127\.0\.0\.1:9: .*refused") as caught:
        fetch(start(tls=True).url, tmp_path)
    assert "canary" not in str(caught.value)


def test_a_proxy_that_wants_a_password_is_explained(start, tmp_path, monkeypatch):
    server = start()
    server.status = 407
    monkeypatch.setenv("HTTP_PROXY", server.url.rpartition("/")[0])
    with pytest.raises(DownloadError, match="the proxy wants a password; put it into HTTPS_PROXY"):
        fetch("http://publisher.invalid/weights.pth", tmp_path)
