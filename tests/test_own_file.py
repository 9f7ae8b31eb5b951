"""No file of this program is written through a symbolic link that somebody put in its place."""

import errno
import os
import stat
from pathlib import Path

import pytest

from edge_hoi.errors import SinkFaultError
from edge_hoi.own_file import create_own, open_own, open_to_append, replace_own
from edge_hoi.sinks import JsonlSink
from edge_hoi.sinks.local_file import lock_file
from edge_hoi.unfinished import writing_file

STRANGER = 12345


@pytest.fixture
def target(tmp_path):
    """Create the file that an attacker wants to be overwritten."""
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    return target


@pytest.fixture
def link(tmp_path, target):
    """Create a link to it in the place of another file."""
    link = tmp_path / "link"
    link.symlink_to(target)
    return link


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("open_", [open_own, lock_file, create_own])
def test_a_file_of_ours_is_never_a_link(link, target, open_):
    with pytest.raises(OSError, match=r"link|exists") as caught:
        open_(link)
    assert caught.value.errno in (errno.ELOOP, errno.EEXIST)
    assert target.read_bytes() == b"precious"
    assert mode(target) != 0o600


def test_a_file_of_ours_is_opened_without_truncation_for_its_owner_only(tmp_path):
    path = tmp_path / "a"
    with open_own(path) as file:
        file.write(b"abc")
    with open_own(path) as file:
        assert file.read() == b"abc"
    assert mode(path) == 0o600


def test_a_pipe_or_device_is_no_file_of_ours(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OSError, match="no regular file"):
            open_own(path)


def test_an_unfinished_file_replaces_a_link_and_not_its_target(tmp_path, target):
    path = tmp_path / "model.bin"
    (tmp_path / "model.bin.unfinished").symlink_to(target)
    with writing_file(path) as unfinished:
        assert unfinished.read_bytes() == b""
        unfinished.write_bytes(b"model")
    assert target.read_bytes() == b"precious"
    assert path.read_bytes() == b"model"
    assert not path.is_symlink()


def test_an_unfinished_file_has_the_permissions_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        with writing_file(tmp_path / "a"):
            pass
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == 0o640


def test_what_a_folder_holds_already_is_removed_before_ours_is_created(link, target):
    replace_own(link)
    assert not link.is_symlink()
    assert link.read_bytes() == b""
    assert target.read_bytes() == b"precious"


def test_a_link_that_the_user_made_is_followed(link, target):
    with open_to_append(link) as file:
        file.write(b"!")
    assert target.read_bytes() == b"precious!"
    with pytest.raises(OSError, match="is a symbolic link"):
        open_to_append(link, is_own=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of another user")
@pytest.mark.parametrize("owner", ["stranger", "owner of the folder"])
def test_a_link_of_a_stranger_is_refused_and_one_of_the_folder_s_owner_is_not(tmp_path, link, target, owner):
    os.lchown(link, STRANGER, STRANGER)
    if owner == "stranger":
        with pytest.raises(SinkFaultError, match="symbolic link that another user made"):
            JsonlSink(link)
        assert target.read_bytes() == b"precious"
    else:
        os.chown(tmp_path, STRANGER, STRANGER)
        JsonlSink(link).close()
        assert target.read_bytes() == b""


def test_events_go_to_a_device_by_its_link(tmp_path):
    (tmp_path / "events").symlink_to("/dev/null")
    JsonlSink(tmp_path / "events").close()
    with pytest.raises(SinkFaultError, match="is a symbolic link"):
        JsonlSink(tmp_path / "events", is_own=True)
