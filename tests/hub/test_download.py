import fcntl
import hashlib
import os
import socket

import numpy as np
import pytest
from servers.ranges import RangeServer

from edge_hoi.errors import DownloadError
from edge_hoi.hashing import sha256_of_file
from edge_hoi.hub import Pin, download

CONTENT = np.random.RandomState(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIT_BLOB = hashlib.sha1(b"blob 1000000\0" + CONTENT).hexdigest()
UNKNOWN, KNOWN = Pin(), Pin(SHA256)


@pytest.fixture
def server():
    server = RangeServer(CONTENT)
    yield server
    server.stop()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "models" / "weights.pth"


def fetch(server, path, pin=UNKNOWN, **options):
    download(server.url, path, pin=pin, pause_seconds=0.01, **options)


def interrupt(done, total):
    if done >= 300_000:
        raise KeyboardInterrupt


def assert_complete(path):
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_file_is_complete_and_progress_is_reported(server, path):
    reported = []
    fetch(server, path, KNOWN, progress=lambda done, total: reported.append((done, total)))
    assert_complete(path)
    assert reported[-1] == (1_000_000, 1_000_000)
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    assert server.ranges == [None]
    assert sha256_of_file(path) == SHA256


@pytest.mark.parametrize("pin", [Pin(git_blob=GIT_BLOB), Pin(SHA256, GIT_BLOB, 1_000_000)], ids=["git blob", "all"])
def test_every_form_of_pin_is_accepted(server, path, pin):
    assert pin.is_full
    fetch(server, path, pin)
    assert_complete(path)


@pytest.mark.parametrize(
    ("pin", "difference"),
    [
        (Pin(SHA256[:8]), None),
        (Pin("0" * 8), f"expected sha256 00000000, got {SHA256}"),
        (Pin(SHA256, "0" * 40), f"expected git blob {'0' * 40}, got {GIT_BLOB}"),
        (Pin(git_blob="0" * 40), f"expected git blob {'0' * 40}, got {GIT_BLOB}"),
        (Pin(SHA256, size_bytes=999_999), "expected 999999 bytes, the server has 1000000"),
        (Pin(SHA256, size_bytes=1_000_001), "expected 1000001 bytes, the server has 1000000"),
    ],
)
def test_each_part_of_a_pin_is_checked(server, path, pin, difference):
    if difference is None:
        fetch(server, path, pin)
        assert not pin.is_full
        assert_complete(path)
        return
    with pytest.raises(DownloadError, match=difference) as caught:
        fetch(server, path, pin)
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_broken_connections_are_resumed(server, path):
    server.break_after = 300_000
    fetch(server, path, KNOWN)
    assert_complete(path)
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


@pytest.mark.parametrize("etag", ['"1"', None, 'W/"1"'])
def test_an_interrupted_process_is_resumed_where_the_content_is_known(server, path, etag):
    server.etag = etag
    with pytest.raises(KeyboardInterrupt):
        fetch(server, path, progress=interrupt)
    assert not path.exists()
    kept = path.with_name("weights.pth.part").stat().st_size
    assert kept >= 262_144
    fetch(server, path, KNOWN)
    assert_complete(path)
    assert server.ranges == [None, f"bytes={kept}-"]


def test_what_an_earlier_process_left_is_not_used_where_the_content_is_unknown(server, path):
    with pytest.raises(KeyboardInterrupt):
        fetch(server, path, progress=interrupt)
    fetch(server, path)
    assert_complete(path)
    assert server.ranges == [None, None]


@pytest.mark.parametrize(
    ("part", "ranges"),
    [
        (b"of the old file", ["bytes=15-", None]),
        (CONTENT + b"more", ["bytes=1000004-", None]),
        (b"?" * 1_000_000, [None]),  # no byte is missing, so nothing is requested before its hash is known
    ],
    ids=["old", "longer", "as long"],
)
def test_a_part_of_another_file_is_downloaded_from_its_start(server, path, part, ranges):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(part)
    fetch(server, path, Pin(SHA256, size_bytes=1_000_000))
    assert_complete(path)
    assert server.ranges == ranges


def test_a_file_replaced_while_the_connection_is_broken_is_downloaded_from_its_start(server, path):
    server.break_after = 300_000

    def replace(done, total):
        if done == 300_000:
            server.break_after, server.etag = None, '"2"'

    fetch(server, path, progress=replace)
    assert_complete(path)
    assert server.ranges == [None, "bytes=300000-"]


def test_a_complete_part_is_used(server, path):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(CONTENT)
    fetch(server, path, KNOWN)
    assert_complete(path)
    assert server.ranges == ["bytes=1000000-"]


def test_a_server_without_ranges_fails_after_the_retries(server, path):
    server.takes_ranges = False
    server.break_after = 500_000
    with pytest.raises(DownloadError, match=r"the connection broke; 500000 bytes are kept, pull again to resume"):
        fetch(server, path, KNOWN)
    assert not path.exists()
    assert len(server.ranges) == 4
    server.break_after = None
    fetch(server, path, KNOWN)
    assert_complete(path)


def test_the_size_is_known_before_the_first_byte_is_taken(server, path):
    server.tells_length = False
    with pytest.raises(DownloadError, match="does not state the file's size"):
        fetch(server, path, KNOWN)
    fetch(server, path, Pin(SHA256, size_bytes=1_000_000))
    assert_complete(path)


def test_no_more_bytes_are_taken_than_a_file_may_have(server, path):
    fetch(server, path, max_bytes=1_000_000)
    assert_complete(path)
    path.unlink()
    with pytest.raises(DownloadError, match="1000000 bytes are more than the 999999 that are accepted"):
        fetch(server, path, max_bytes=999_999)
    server.tells_length = False
    server.content += b"more"
    fetch(server, path, Pin(size_bytes=1_000_000))
    assert_complete(path)


def test_other_content_is_refused_and_deleted(server, path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match=f"expected sha256 {SHA256}, got .*deleted") as caught:
        fetch(server, path, KNOWN)
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_a_missing_file_is_requested_once(server, path):
    server.status = 404
    with pytest.raises(DownloadError, match=r"/weights\.pth: HTTP status 404 \(Not Found\); check the model's page"):
        download(f"{server.url}?token=secret", path, pin=UNKNOWN, pause_seconds=0.01)
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
        download(url, path, pin=KNOWN, pause_seconds=0.01)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "weights.pth", "https://user:canary@127.0.0.1/x"])
def test_other_addresses_are_refused(path, url):
    with pytest.raises(DownloadError, match="begins with https://") as caught:
        download(url, path, pin=KNOWN)
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


def test_a_link_in_the_place_of_the_part_is_refused_and_its_target_kept(server, path):
    path.parent.mkdir()
    (path.parent / "precious").write_text("precious")
    path.with_name("weights.pth.part").symlink_to("precious")
    with pytest.raises(DownloadError, match=r"cannot write .*symbolic link"):
        fetch(server, path, KNOWN)
    assert (path.parent / "precious").read_text() == "precious"
    path.with_name("weights.pth.part").unlink()
    os.mkfifo(path.with_name("weights.pth.part"))
    with pytest.raises(DownloadError, match=r"cannot write .*no regular file"):
        fetch(server, path, KNOWN)
    assert server.ranges == []


def test_a_disk_without_room_is_found_before_the_first_byte(small_disk, server):
    path = small_disk.folder / "weights.pth"
    server.content = CONTENT * 9
    with pytest.raises(DownloadError, match=r"cannot write .*No space left on device: it needs 9\.0 MB, 8\.4 MB are free; free some space"):
        fetch(server, path)
    assert list(small_disk.folder.iterdir()) == []


def test_a_disk_that_fills_up_keeps_what_there_is_for_the_next_try(small_disk, server):
    path = small_disk.folder / "weights.pth"

    def fill(done, total):
        if done == 524_288:
            small_disk.fill()

    with pytest.raises(DownloadError, match=r"cannot write .*No space left on device; free some space"):
        fetch(server, path, KNOWN, progress=fill)
    assert not path.exists()
    small_disk.free()
    fetch(server, path, KNOWN)
    assert_complete(path)
    assert server.ranges[0] is None
    assert server.ranges[1].startswith("bytes=5")
