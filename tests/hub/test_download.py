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


def assert_whole(path):
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_file_comes_whole_and_progress_is_told(server, path):
    told = []
    fetch(server, path, sha256=SHA256, progress=lambda done, total: told.append((done, total)))
    assert_whole(path)
    assert told[-1] == (1_000_000, 1_000_000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert server.ranges == [None]
    assert sha256_of_file(path) == SHA256


def test_first_digits_of_a_hash_are_enough(server, path):
    fetch(server, path, sha256=SHA256[:8])
    assert_whole(path)


def test_broken_connections_are_gone_on_from(server, path):
    server.break_after = 300_000
    fetch(server, path, sha256=SHA256)
    assert_whole(path)
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_an_interrupted_process_is_gone_on_from(server, path):
    with pytest.raises(KeyboardInterrupt):
        fetch(server, path, progress=interrupt)
    assert not path.exists()
    kept = path.with_name("weights.pth.part").stat().st_size
    assert kept >= 262_144
    fetch(server, path, sha256=SHA256)
    assert_whole(path)
    assert server.ranges == [None, f"bytes={kept}-"]


def test_replaced_file_is_begun_anew(server, path):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(b"of the old file")
    path.with_name("weights.pth.part.version").write_text('"0"')
    fetch(server, path, sha256=SHA256)
    assert_whole(path)
    assert server.ranges == ["bytes=15-"]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_parts_without_a_version_that_promises_equal_bytes_are_not_trusted(server, path, etag):
    server.etag = etag
    with pytest.raises(KeyboardInterrupt):
        fetch(server, path, progress=interrupt)
    fetch(server, path, sha256=SHA256)
    assert_whole(path)
    assert server.ranges == [None, None]


def test_a_part_that_is_whole_already_is_taken(server, path):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(CONTENT)
    path.with_name("weights.pth.part.version").write_text('"1"')
    fetch(server, path, sha256=SHA256)
    assert_whole(path)


def test_a_server_without_ranges_that_breaks_off_is_given_up(server, path):
    server.takes_ranges = False
    server.break_after = 500_000
    with pytest.raises(DownloadError, match=r"the connection broke; 500000 bytes are kept, pull again to go on"):
        fetch(server, path)
    assert not path.exists()
    assert len(server.ranges) == 4
    server.break_after = None
    fetch(server, path)
    assert_whole(path)


def test_a_server_that_does_not_tell_a_length_is_believed_or_checked(server, path):
    server.tells_length = False
    fetch(server, path, sha256=SHA256)
    assert_whole(path)
    server.break_after = 500_000
    with pytest.raises(DownloadError, match="expected sha256"):
        fetch(server, path.with_name("other.pth"), sha256=SHA256)


def test_other_content_is_refused_and_not_kept(server, path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match=f"expected sha256 {SHA256}, got .*not kept") as caught:
        fetch(server, path, sha256=SHA256)
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_file_that_is_not_there_is_asked_for_once(server, path):
    server.status = 404
    with pytest.raises(DownloadError, match=r"/weights\.pth: the server answers 404 \(Not Found\); look at the model's page"):
        download(f"{server.url}?token=secret", path, pause_seconds=0.01)
    assert len(server.ranges) == 1
    assert list(path.parent.iterdir()) == []


def test_busy_servers_are_asked_again(server, path):
    server.status = 503
    with pytest.raises(DownloadError, match=r"the server answers 503"):
        fetch(server, path)
    assert len(server.ranges) == 3


def test_servers_that_are_away_are_named(path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    with pytest.raises(DownloadError, match=r"cannot fetch http://127.*: .*Connection refused.*; 0 bytes are kept"):
        download(url, path, pause_seconds=0.01)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "weights.pth", "https://user:canary@127.0.0.1/x"])
def test_other_addresses_are_refused(path, url):
    with pytest.raises(DownloadError, match="begins with https://") as caught:
        download(url, path)
    assert "canary" not in str(caught.value)


def test_two_at_once_do_not_mix(server, path):
    path.parent.mkdir()
    with path.with_name("weights.pth.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process"):
            fetch(server, path)


def test_folders_that_cannot_be_written_are_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"cannot write .*; free some space or choose another folder"):
        fetch(server, tmp_path / "file" / "weights.pth")
