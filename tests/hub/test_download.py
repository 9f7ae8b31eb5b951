import fcntl
import hashlib
import socket

import numpy as np
import pytest
from servers.ranges import RangeServer

from edge_hoi.errors import DownloadError
from edge_hoi.hashing import sha256_of_file
from edge_hoi.hub import download

CONTENT = np.random.RandomState(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    server = RangeServer(CONTENT)
    yield server
    server.stop()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "models" / "weights.pth"


def fetch(server, path, **options):
    download(server.url, path, pause_seconds=0.01, **options)


def interrupt(done, total):
    if done >= 300_000:
        raise KeyboardInterrupt


def assert_complete(path):
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_file_is_complete_and_progress_is_reported(server, path):
    reported = []
    fetch(server, path, sha256=SHA256, progress=lambda done, total: reported.append((done, total)))
    assert_complete(path)
    assert reported[-1] == (1_000_000, 1_000_000)
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    assert server.ranges == [None]
    assert sha256_of_file(path) == SHA256


def test_first_digits_of_a_hash_are_enough(server, path):
    fetch(server, path, sha256=SHA256[:8])
    assert_complete(path)


def test_broken_connections_are_resumed(server, path):
    server.break_after = 300_000
    fetch(server, path, sha256=SHA256)
    assert_complete(path)
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_an_interrupted_process_is_resumed(server, path):
    with pytest.raises(KeyboardInterrupt):
        fetch(server, path, progress=interrupt)
    assert not path.exists()
    kept = path.with_name("weights.pth.part").stat().st_size
    assert kept >= 262_144
    fetch(server, path, sha256=SHA256)
    assert_complete(path)
    assert server.ranges == [None, f"bytes={kept}-"]


def test_a_replaced_file_is_downloaded_from_its_start(server, path):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(b"of the old file")
    path.with_name("weights.pth.part.version").write_text('"0"')
    fetch(server, path, sha256=SHA256)
    assert_complete(path)
    assert server.ranges == ["bytes=15-"]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_parts_without_a_strong_version_tag_are_not_resumed(server, path, etag):
    server.etag = etag
    with pytest.raises(KeyboardInterrupt):
        fetch(server, path, progress=interrupt)
    fetch(server, path, sha256=SHA256)
    assert_complete(path)
    assert server.ranges == [None, None]


def test_a_complete_part_is_used(server, path):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(CONTENT)
    path.with_name("weights.pth.part.version").write_text('"1"')
    fetch(server, path, sha256=SHA256)
    assert_complete(path)


def test_a_server_without_ranges_fails_after_the_retries(server, path):
    server.takes_ranges = False
    server.break_after = 500_000
    with pytest.raises(DownloadError, match=r"the connection broke; 500000 bytes are kept, pull again to resume"):
        fetch(server, path)
    assert not path.exists()
    assert len(server.ranges) == 4
    server.break_after = None
    fetch(server, path)
    assert_complete(path)


def test_without_a_content_length_only_the_hash_is_checked(server, path):
    server.tells_length = False
    fetch(server, path, sha256=SHA256)
    assert_complete(path)
    server.break_after = 500_000
    with pytest.raises(DownloadError, match="expected sha256"):
        fetch(server, path.with_name("other.pth"), sha256=SHA256)


def test_other_content_is_refused_and_deleted(server, path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match=f"expected sha256 {SHA256}, got .*deleted") as caught:
        fetch(server, path, sha256=SHA256)
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_a_missing_file_is_requested_once(server, path):
    server.status = 404
    with pytest.raises(DownloadError, match=r"/weights\.pth: HTTP status 404 \(Not Found\); check the model's page"):
        download(f"{server.url}?token=secret", path, pause_seconds=0.01)
    assert len(server.ranges) == 1
    assert list(path.parent.iterdir()) == []


def test_busy_servers_are_retried(server, path):
    server.status = 503
    with pytest.raises(DownloadError, match=r"HTTP status 503"):
        fetch(server, path)
    assert len(server.ranges) == 3


def test_unreachable_servers_are_named(path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    with pytest.raises(DownloadError, match=r"cannot download http://127.*: .*Connection refused.*; 0 bytes are kept"):
        download(url, path, pause_seconds=0.01)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "weights.pth", "https://user:canary@127.0.0.1/x"])
def test_other_addresses_are_refused(path, url):
    with pytest.raises(DownloadError, match="begins with https://") as caught:
        download(url, path)
    assert "canary" not in str(caught.value)


def test_a_second_download_of_the_same_file_is_refused(server, path):
    path.parent.mkdir()
    with path.with_name("weights.pth.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process"):
            fetch(server, path)


def test_folders_that_cannot_be_written_are_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"cannot write .*; free some space or choose another folder"):
        fetch(server, tmp_path / "file" / "weights.pth")
