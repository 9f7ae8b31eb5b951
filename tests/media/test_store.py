"""The folder of images and videos keeps within its budget, oldest first, and never holds half a file."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from edge_hoi.errors import EdgeHoiError
from edge_hoi.media import MediaStore, StoreSettings
from edge_hoi.media import store as store_module

DAY = 86_400.0


@pytest.fixture
def make_store(tmp_path):
    """Return a function that opens the store, whose clock advances by a second at each look."""

    def make(clock=None, **settings):
        ticks = count(1_000_000)
        settings = {"reserve_megabytes": 0, "max_age_days": None} | settings
        return MediaStore(StoreSettings(path=str(tmp_path / "media"), **settings), clock=clock or (lambda: float(next(ticks))))

    return make


def put(store, number, size=1000, camera="gate", media_type="image/jpeg", sequence=0):
    data = bytes([number % 256]) * size
    return store.write(camera, f"{number:032x}-{sequence:08d}", data, media_type=media_type, start_seconds=1.5)


def numbers(store, camera="gate"):
    return sorted(int(path.name[:32], 16) for path in (store.folder / camera).iterdir())


def test_a_file_is_written_and_referenced_by_its_address_and_hash(make_store):
    store = make_store()
    media = put(store, 7, media_type="video/mp4", sequence=3)
    path = store.folder / "gate" / f"{7:032x}-00000003.mp4"
    assert path.read_bytes() == bytes([7]) * 1000
    assert (media.uri, media.media_type, media.size_bytes, media.start_seconds) == (path.as_uri(), "video/mp4", 1000, 1.5)
    assert media.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert store.read(media) == path.read_bytes()


def test_a_base_url_replaces_the_folder_and_names_are_quoted(make_store):
    store = make_store(base_url="https://box.example/media/")
    media = put(store, 7, camera="Tür 1")
    assert media.uri == f"https://box.example/media/T%C3%BCr%201/{7:032x}-00000000.jpg"
    assert store.read(media) == bytes([7]) * 1000


def test_a_file_that_was_deleted_or_changed_or_is_elsewhere_is_not_read(make_store, tmp_path):
    store = make_store()
    media = put(store, 7)
    path = store.folder / "gate" / f"{7:032x}-00000000.jpg"
    path.write_bytes(b"other")
    assert store.read(media) is None
    path.unlink()
    assert store.read(media) is None
    name = f"{7:032x}-00000000.jpg"
    (tmp_path / name).write_bytes(b"secret")
    foreign = type(media)(f"file:///a/../{name}", hashlib.sha256(b"secret").hexdigest(), "image/jpeg", 6, 0.0)
    assert store.read(foreign) is None


@pytest.mark.parametrize(("megabytes", "kept"), [(0.003, [3, 4, 5]), (0.002999, [4, 5])])
def test_the_oldest_files_of_all_cameras_make_room(make_store, megabytes, kept):
    store = make_store(max_megabytes=megabytes)
    for number in range(6):
        put(store, number, camera="gate" if number >= 3 else "yard")
    assert numbers(store) == kept
    assert list((store.folder / "yard").iterdir()) == []


def test_a_budget_of_each_camera_leaves_the_others_alone(make_store):
    store = make_store(max_megabytes_per_camera=0.002)
    put(store, 0, camera="yard")
    for number in range(1, 6):
        put(store, number)
    assert (numbers(store), numbers(store, "yard")) == ([4, 5], [0])


def test_old_files_are_deleted_by_age(make_store):
    now = [10 * DAY]
    store = make_store(clock=lambda: now[0], max_age_days=2)
    put(store, 1)
    now[0] += 2 * DAY
    put(store, 2)
    assert numbers(store) == [1, 2]
    now[0] += 1
    put(store, 3)
    assert numbers(store) == [2, 3]


def test_a_file_that_is_replaced_counts_once(make_store):
    store = make_store(max_megabytes=0.002)
    for _ in range(5):
        put(store, 1)
        put(store, 2)
    assert numbers(store) == [1, 2]
    assert sum(store._bytes.values()) == 2000


def test_a_file_larger_than_the_budget_is_refused(make_store):
    store = make_store(max_megabytes=0.002)
    with pytest.raises(EdgeHoiError, match="`max_megabytes` leaves no room for another file"):
        put(store, 1, size=2001)
    put(store, 2, size=2000)
    assert numbers(store) == [2]


def test_a_full_disk_keeps_its_reserve(make_store, monkeypatch):
    files = make_store().folder
    free = lambda _: shutil._ntuple_diskusage(0, 0, 1_005_000 - sum(path.stat().st_size for path in files.rglob("*.jpg")))  # noqa: E731
    monkeypatch.setattr(store_module.shutil, "disk_usage", free)
    store = make_store(reserve_megabytes=1)
    for number in range(8):
        put(store, number)
    assert numbers(store) == [3, 4, 5, 6, 7]
    store = make_store(reserve_megabytes=2)
    with pytest.raises(EdgeHoiError, match="`reserve_megabytes` leaves no room for another file; free space on the disk"):
        put(store, 9)


def test_the_next_run_counts_what_it_finds_and_nothing_of_others(make_store):
    store = make_store(clock=time.time)
    for number in range(3):
        put(store, number)
        os.utime(store.folder / "gate" / f"{number:032x}-00000000.jpg", (number, number))
    gate = store.folder / "gate"
    (gate / "holiday.jpg").write_bytes(bytes(5000))
    (gate / f"{9:032x}-00000000.jpg.unfinished").write_bytes(bytes(5000))
    (gate / f"{8:032x}-00000000.jpg").symlink_to(gate / "holiday.jpg")
    store = make_store(clock=time.time, max_megabytes=0.003)
    assert sum(store._bytes.values()) == 3000
    put(store, 3)
    assert sorted(path.name for path in gate.iterdir()) == sorted(
        [*(f"{number:032x}-00000000.jpg" for number in (1, 2, 3, 8)), "holiday.jpg"]
    )


@pytest.mark.slow
def test_ten_thousand_snapshots_keep_within_the_budget(make_store, monkeypatch):
    monkeypatch.setattr(store_module.os, "fsync", lambda _: None)  # what is counted here is files
    store = make_store(max_megabytes=0.5, max_megabytes_per_camera=0.3)
    for number in range(10_000):
        put(store, number, size=500, camera=f"camera{number % 2}")
        if number % 1000 == 999:
            sizes = [path.stat().st_size for path in store.folder.rglob("*.jpg")]
            assert sum(sizes) <= 500_000
    assert numbers(store, "camera0") == list(range(9000, 10_000, 2))
    assert numbers(store, "camera1") == list(range(9001, 10_000, 2))


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EdgeHoiError, match="media cannot be kept there"):
        MediaStore(StoreSettings(path=str(tmp_path / "file" / "media")))


WRITER = """
import sys
from edge_hoi.media import MediaStore, StoreSettings
store = MediaStore(StoreSettings(path=sys.argv[1], reserve_megabytes=0, max_megabytes=20))
number = 0
while True:
    number += 1
    media = store.write("gate", f"{number:032x}-00000000", bytes([number % 256]) * 400_000, media_type="video/mp4", start_seconds=0.0)
    print(media.uri, media.sha256, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(5))
def test_a_killed_process_leaves_no_half_file_that_was_referenced(tmp_path, attempt):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(5 + attempt)]
        time.sleep(0.003 * attempt)
        process.kill()
        lines += process.stdout.readlines()
    references = dict(line.split() for line in lines if line.endswith("\n"))
    assert len(references) >= 5
    for uri, sha256 in references.items():
        assert hashlib.sha256(Path(uri.removeprefix("file://")).read_bytes()).hexdigest() == sha256
    MediaStore(StoreSettings(path=str(tmp_path)))
    for path in (tmp_path / "gate").iterdir():
        assert (path.suffix, path.stat().st_size) == (".mp4", 400_000)


@pytest.mark.parametrize("limit", ["max_megabytes", "max_megabytes_per_camera"])
def test_nothing_is_deleted_for_a_file_that_would_not_fit_even_then(make_store, limit):
    store = make_store(**{limit: 0.002})
    put(store, 1)
    with pytest.raises(EdgeHoiError, match=f"`{limit}` leaves no room for another file; raise that limit"):
        put(store, 2, size=2001)
    with pytest.raises(EdgeHoiError, match=limit):
        put(store, 1, size=2001)  # in place of the first
    assert numbers(store) == [1]
    put(store, 3, size=1000)
    put(store, 4, size=1000)  # the first still counts
    assert numbers(store) == [3, 4]


def test_nothing_is_deleted_for_a_reserve_that_cannot_be_reached(make_store, monkeypatch):
    store = make_store(reserve_megabytes=1)
    put(store, 1)
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 500_000))
    with pytest.raises(EdgeHoiError, match="`reserve_megabytes` leaves no room"):
        put(store, 2)
    assert numbers(store) == [1]


def test_linked_folders_are_left_alone(make_store, tmp_path):
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    kept = evidence / f"{1:032x}-00000000.jpg"
    kept.write_bytes(bytes(1000))
    (evidence / f"{2:032x}-00000000.jpg.1.unfinished").write_bytes(b"")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "keep").symlink_to(evidence)
    store = make_store(max_megabytes=0.0015)
    for number in (3, 4):
        put(store, number)
    assert numbers(store) == [4]
    assert kept.exists()
    assert len(list(evidence.iterdir())) == 2
