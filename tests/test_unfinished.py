"""Folders and files appear complete or not at all, and only what a stopped process of ours left is removed."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from edge_hoi.unfinished import remove_leftovers, temporary_folder, writing_file, writing_folder, writing_output

HOLD = """
import sys, time
from pathlib import Path
from edge_hoi.unfinished import writing_folder
with writing_folder(Path(sys.argv[1])) as new:
    (new / "half").write_text("half")
    if sys.argv[2] == "replaced":
        Path(sys.argv[1]).rename(new.with_name("old"))
    print("ready", flush=True)
    time.sleep(60)
"""


@contextmanager
def writer(folder, state="new"):
    """Run a process that has begun to write a folder, and kill it at the end."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder, state], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_complete_in_place_of_another(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "before").touch()
    with writing_folder(tmp_path / "a") as new:
        assert new.parent.parent == tmp_path
        (new / "after").touch()
        assert names(tmp_path / "a") == ["before"]
    assert names(tmp_path / "a") == ["after"]
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "before").touch()

    def fail():
        with writing_folder(tmp_path / "a") as new:
            (new / "after").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["before"]


def test_a_folder_that_cannot_be_replaced_is_put_back(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "before").touch()
    with pytest.raises(OSError, match="No such file"), writing_folder(tmp_path / "a") as new:
        new.rmdir()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["before"]


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_live_one_writes_is_not(tmp_path, caplog):
    with writer(tmp_path / "dead"), writer(tmp_path / "live"):
        pass
    assert len(names(tmp_path)) == 2
    with writer(tmp_path / "live"):
        left = names(tmp_path)
        assert len(left) == 1  # it has removed the two
        with writing_folder(tmp_path / "a"):
            assert set(names(tmp_path)) > set(left)
        assert names(tmp_path) == [*left, "a"]
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a"]
    assert "which a stopped process left unfinished" in caplog.text


def test_a_folder_that_was_being_replaced_is_put_back(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "before").touch()
    with writer(tmp_path / "a", "replaced"):
        assert not (tmp_path / "a").exists()
        remove_leftovers(tmp_path)
        assert not (tmp_path / "a").exists()  # its owner lives
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["before"]


@pytest.mark.parametrize("mark", [None, "", "someone else's", b"\xff"])
def test_what_is_not_ours_is_never_removed(tmp_path, mark):
    other = tmp_path / ".edge-hoi-abc.unfinished"
    other.mkdir()
    (other / "file").touch()
    if mark is not None:
        (other / "owner").write_bytes(mark if isinstance(mark, bytes) else mark.encode())
    (tmp_path / ".a.123.partial").mkdir()
    (tmp_path / ".edge-hoi-file.unfinished").touch()
    (tmp_path / ".edge-hoi-link.unfinished").symlink_to(other)
    before = names(tmp_path)
    with temporary_folder(tmp_path):
        pass
    assert names(tmp_path) == before
    assert (other / "file").exists()


def test_a_marker_cannot_name_a_folder_elsewhere(tmp_path):
    work = tmp_path / "here" / ".edge-hoi-abc.unfinished"
    (work / "old").mkdir(parents=True)
    (work / "owner").write_text("edge-hoi unfinished folder of ../elsewhere")
    remove_leftovers(tmp_path / "here")
    assert names(tmp_path) == ["here"]
    assert names(tmp_path / "here") == ["elsewhere"]


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_file_is_replaced_when_it_is_complete(tmp_path, is_shared):
    path = tmp_path / "a.json"
    path.write_text("before")

    def fail():
        with writing_file(path, is_shared=is_shared) as unfinished:
            unfinished.write_text("half")
            raise SystemExit

    with pytest.raises(SystemExit):
        fail()
    assert (names(tmp_path), path.read_text()) == (["a.json"], "before")
    with writing_file(path, is_shared=is_shared) as unfinished:
        unfinished.write_text("after")
        assert path.read_text() == "before"
    assert (names(tmp_path), path.read_text()) == (["a.json"], "after")


def test_a_device_that_the_user_named_is_written_and_stays(tmp_path):
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    with writing_output(device) as output:
        output.write_text("seen")
    assert device.is_symlink()
    assert device.is_char_device()
    with pytest.raises(IsADirectoryError), writing_output(tmp_path) as output:
        output.write_text("seen")
