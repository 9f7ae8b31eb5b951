"""Reading of regular files only, up to a size."""

import errno
import os
import socket
from pathlib import Path

import pytest

from edge_hoi.regular_file import open_regular, read_regular, size_text


@pytest.mark.parametrize(("size", "is_read"), [(0, True), (9, True), (10, True), (11, False)])
def test_a_file_is_read_up_to_its_limit(tmp_path, size, is_read):
    path = tmp_path / "a"
    path.write_bytes(b"x" * size)
    if is_read:
        assert read_regular(path, 10) == b"x" * size
        return
    with pytest.raises(OSError, match="larger than 10 bytes") as caught:
        read_regular(path, 10)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))


def test_a_file_without_a_size_of_its_own_is_read_up_to_the_limit_too():
    path = Path("/proc/version")
    if not path.is_file():
        pytest.skip("this system has no /proc")
    assert path.stat().st_size == 0
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(path, 4)
    assert read_regular(path, 4096).startswith(b"Linux")


@pytest.mark.parametrize("read", [open_regular, lambda path: read_regular(path, 10)])
@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder", "link to a pipe"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind, read):
    path = tmp_path / "a"
    code = errno.EISDIR if kind == "folder" else errno.EINVAL
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "socket":
            server.bind(str(path))
        elif kind == "folder":
            path.mkdir()
        else:
            os.mkfifo(tmp_path / "b")
            path.symlink_to("b")
        with pytest.raises(OSError) as caught:  # noqa: PT011 -- the code is checked
            read(path)
    assert caught.value.errno == code


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "b").write_bytes(b"content")
    (tmp_path / "a").symlink_to("b")
    assert read_regular(tmp_path / "a", 10) == b"content"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1000, "1000 bytes"), (1 << 10, "1 KiB"), (1 << 18, "256 KiB"), (1 << 27, "128 MiB"), (1 << 31, "2 GiB")],
)
def test_sizes_are_written_in_the_largest_unit_that_divides_them(size, text):
    assert size_text(size) == text
