"""Images of strangers: small files that decode to gigabytes, formats that start programs, files without an end."""

import io
import os
import struct
import sys
import time
import zlib
from contextlib import suppress

import numpy as np
import PIL.EpsImagePlugin
import PIL.Image
import pytest
from peak_memory import run_measured

from edge_hoi.errors import DatasetError, EdgeHoiError, SourceError
from edge_hoi.ingest import open_source
from edge_hoi.ingest.image_file import open_image, read_image, read_image_size, read_stored_size
from edge_hoi.ingest.images import ImageSource
from edge_hoi.lab.datasets.custom import read_custom
from edge_hoi.lab.datasets.images import open_image as open_training_image
from edge_hoi.types import MAX_PIXELS

FORMATS = ["jpeg", "png", "webp", "bmp", "gif", "tiff", "avif", "jpeg2000", "ppm"]
READERS = [open_image, read_image, read_image_size, read_stored_size]


def png(width, height, rows=None):
    """A PNG of black, compressed to a thousandth, of which all but the first rows are missing if `rows` is given."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj()
    row = b"\0" * (1 + (width + 7) // 8)
    pixels = b"".join([*(packer.compress(row) for _ in range(height if rows is None else rows)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(width, height):
    """A JPEG whose header declares any size; its pixels are missing from the second block on."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    content = bytearray(buffer.getvalue())
    struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, height, width)
    return bytes(content)


def tiled_tiff(width, height, tile):
    """A grey TIFF of one tile, compressed by zlib, of which all but the beginning is missing."""
    content = zlib.compress(b"\0" * 1000)
    tags = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1), (322, tile), (323, tile), (324, 8), (325, len(content))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(content)) + content + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_has_at_most_as_many_pixels_as_allowed(tmp_path, form):
    path = tmp_path / "a.jpg"
    PIL.Image.new("RGB", (40, 30)).save(path, form)
    assert read_image(path, max_pixels=1200).shape == (30, 40, 3)
    with pytest.raises(
        SourceError, match=r"it has 40x30 pixels, more than 1199; shrink it \(a source's limit is its max_pixels\)"
    ) as caught:
        read_image(path, max_pixels=1199)
    assert (caught.value.code, caught.value.is_retryable) == ("refused", False)


def test_a_limit_above_pillows_own_counts(tmp_path, monkeypatch):
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    for pillows in (500, 1000, None):  # above twice its limit Pillow refuses, above its limit it warns
        monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", pillows)
        assert read_image(tmp_path / "a.png", max_pixels=1200).shape == (30, 40, 3)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("width", "height"), [(7681, 4320), (4320, 7681), (12_000, 12_000), (50_000, 50_000), (1_000_000, 1_000_000)])
def test_an_image_above_8k_is_refused_by_its_header(tmp_path, read, width, height):
    (tmp_path / "a.png").write_bytes(png(width, height, rows=1))
    with pytest.raises(SourceError, match=rf"more than {MAX_PIXELS}( pixels)?; shrink it"):
        read(tmp_path / "a.png")


def test_an_image_of_8k_is_read(tmp_path):
    (tmp_path / "a.png").write_bytes(png(7680, 4320))
    assert 7680 * 4320 == MAX_PIXELS == 33_177_600
    assert open_image(tmp_path / "a.png").size == read_image_size(tmp_path / "a.png") == (7680, 4320)


def test_a_tile_of_a_tiff_has_at_most_as_many_pixels_as_allowed(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiled_tiff(64, 64, 96))
    with pytest.raises(SourceError, match="the file is damaged or incomplete"):
        open_image(path, max_pixels=96 * 96)
    with pytest.raises(SourceError, match="it has 96x96 pixels in a tile, more than 9215"):
        open_image(path, max_pixels=96 * 96 - 1)


BOMBS = {"png": lambda: png(50_000, 50_000, rows=5000), "jpeg": lambda: jpeg(16_000, 16_000), "tiff": lambda: tiled_tiff(64, 64, 40_000)}
READ_FOLDER = """
import sys
from edge_hoi.ingest import open_source
with open_source(sys.argv[1], source_id="door") as source:
    frames = list(source)
print(len(frames), source.tally.decode_errors)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_folder_goes_on_after_images_that_are_too_large(tmp_path, bomb):
    content = BOMBS[bomb]()
    assert len(content) < 400_000
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    PIL.Image.new("RGB", (640, 480)).save(tmp_path / "9.jpg")
    output, peak = run_measured(READ_FOLDER, tmp_path)
    assert output.splitlines()[-1] == "1 8"
    assert "more than 33177600" in output
    assert peak < 200


def jpeg_of_scans(count, size=(64, 48), after=b""):
    """A progressive JPEG that repeats its last scan."""
    buffer = io.BytesIO()
    PIL.Image.new("L", size, 200).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()[:-2]
    last = content[content.rindex(b"\xff\xda") :]
    return content + last * (count - content.count(b"\xff\xda")) + b"\xff\xd9" + after


@pytest.mark.parametrize(("scans", "is_read"), [(10, True), (100, True), (101, False)])
def test_a_jpeg_has_at_most_a_hundred_scans(tmp_path, scans, is_read):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_of_scans(scans))
    assert read_image_size(path) == (64, 48)
    if is_read:
        assert np.abs(read_image(path).astype(int) - 200).max() < 3
        return
    with pytest.raises(SourceError, match="it has more than 100 scans; save it again") as caught:
        read_image(path)
    assert caught.value.code == "refused"


def test_ten_thousand_scans_of_8k_are_refused_at_once(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_of_scans(10_000, (7680, 4320)))
    assert path.stat().st_size < 1_000_000
    started = time.process_time()
    with pytest.raises(SourceError, match="more than 100 scans"):
        read_image(path)
    assert time.process_time() - started < 2


def test_what_follows_a_jpeg_or_is_within_its_segments_is_no_scan(tmp_path):
    path = tmp_path / "a.jpg"
    motion_photo = b"\xff\xda\x00\x04ab" * 500  # a video, as phones append it
    path.write_bytes(jpeg_of_scans(10, after=motion_photo))
    assert read_image(path).shape == (48, 64, 3)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(motion_photo)) + motion_photo
    path.write_bytes(b"\xff\xd8" + comment + jpeg_of_scans(10)[2:])
    assert read_image(path).shape == (48, 64, 3)


def test_a_jpeg_of_countless_segments_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8" + b"\xff\xfe\x00\x02" * 10_000 + jpeg_of_scans(10)[2:])
    with pytest.raises(SourceError, match="more than 100 scans"):
        read_image(path)


def test_a_source_counts_what_it_refuses(tmp_path):
    for number, size in enumerate([(40, 30), (41, 30), (30, 40)]):
        PIL.Image.new("RGB", size).save(tmp_path / f"{number}.png")
    with ImageSource(str(tmp_path), source_id="door", fps=10, max_pixels=1200) as source:
        assert [(frame.width, frame.height, frame.index) for frame in source] == [(40, 30, 0), (30, 40, 2)]
    assert (source.tally.frames_decoded, source.tally.decode_errors) == (2, 1)


def test_a_source_of_one_image_that_is_too_large_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(png(7681, 4320, rows=1))
    with pytest.raises(SourceError, match=r"7681x4320 pixels, more than 33177600"):
        open_source(str(tmp_path / "a.png"), source_id="door")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_no_image(tmp_path, kind):
    path = tmp_path / "a.jpg"
    {"pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir}[kind]()
    started = time.monotonic()
    for read in READERS:
        with pytest.raises(SourceError, match=r"it is (no regular file|is a directory).*name an image's file") as caught:
            read(path)
        assert not caught.value.is_retryable
    if kind != "folder":
        with pytest.raises(SourceError, match="it is no regular file"):
            open_source(str(path), source_id="door")
    assert time.monotonic() - started < 2


def test_a_file_larger_than_any_image_of_8k_is_refused(tmp_path):
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "a.webp")
    os.truncate(tmp_path / "a.webp", 10 << 30)  # Pillow reads the whole file of some formats
    with pytest.raises(SourceError, match="it has more bytes than an image of 33177600 pixels needs"):
        open_image(tmp_path / "a.webp")


def test_a_data_set_and_training_have_the_same_limit(tmp_path):
    (tmp_path / "a.png").write_bytes(png(7681, 4320, rows=1))
    interactions = '[{"human": [1, 1, 40, 90], "object": null, "text": "person riding bicycle"}]'
    (tmp_path / "annotations.json").write_text(f'{{"images": [{{"file": "a.png", "interactions": {interactions}}}]}}')
    for read in (lambda: read_custom(tmp_path), lambda: open_training_image(tmp_path / "a.png")):
        with pytest.raises(DatasetError, match=r"a\.png: it has 7681x4320 pixels, more than 33177600; shrink it"):
            read()


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A program in the place of Ghostscript that leaves a file where it is started."""
    if sys.platform == "win32":
        pytest.skip("a script cannot take the place of a program there")
    (folder := tmp_path / "programs").mkdir()
    (folder / "gs").write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\nexit 1\n")
    (folder / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setattr(PIL.EpsImagePlugin, "gs_binary", None)
    return tmp_path / "started"


@pytest.fixture
def eps(tmp_path):
    """A data set of one image, `e.jpg`, which is EPS."""
    PIL.Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "e.eps")
    (tmp_path / "e.eps").rename(tmp_path / "e.jpg")
    box = "[1, 1, 40, 90]"  # outside of the image, which opens it once more to explain why
    (tmp_path / "annotations.json").write_text(
        f'{{"images": [{{"file": "e.jpg", "interactions": [{{"human": {box}, "object": null, "text": "person riding bicycle"}}]}}]}}'
    )
    return tmp_path / "e.jpg"


def test_pillow_alone_would_start_ghostscript(eps, ghostscript):
    with suppress(Exception), PIL.Image.open(eps) as image:
        image.load()
    assert ghostscript.exists()


@pytest.mark.parametrize(
    "read",
    [
        *READERS,
        open_training_image,
        lambda path: open_source(str(path), source_id="door"),
        lambda path: open_source(str(path.parent), source_id="door"),
        lambda path: read_custom(path.parent),
    ],
)
def test_an_image_starts_no_program(eps, ghostscript, read):
    with pytest.raises(EdgeHoiError, match="this is not a video or an image"):
        read(eps)
    assert not ghostscript.exists()
