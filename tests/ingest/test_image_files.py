"""Photographs in every format, as other programs write them."""

import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numbered_clips import numbered_image
from PIL import ImageOps

from edge_hoi.errors import SourceError
from edge_hoi.ingest import SourceKind, open_source, source_kind
from edge_hoi.ingest.image_file import open_image, read_image, read_image_size
from edge_hoi.lab.datasets.images import read_image as read_training_image
from edge_hoi.lab.datasets.images import read_image_size as read_training_size

CORNERS = np.zeros((48, 64, 3), np.uint8)
CORNERS[:24, :32], CORNERS[:24, 32:], CORNERS[24:, :32], CORNERS[24:, 32:] = (220, 30, 30), (30, 220, 30), (30, 30, 220), (200, 200, 40)
HEIC = Path(__file__).with_name("corners.heic")
EXIF_SUFFIXES = [".jpg", ".jfif", ".png", ".webp", ".tif", ".avif"]


def save(path, pixels=CORNERS, **options):
    PIL.Image.fromarray(pixels).save(path, **({"format": "JPEG"} if path.suffix == ".jfif" else {}), **options)
    return path


def turned(path, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return save(path, exif=exif, **({"quality": 100} if path.suffix == ".avif" else {}))


def read_source(path):
    with open_source(str(path), source_id="door") as source:
        (frame,) = source
        assert (source.info.width, source.info.height) == (frame.width, frame.height)
    return frame.image


def is_like(image, other):
    return image.shape == other.shape and np.abs(image.astype(int) - other).mean() < 4


@pytest.mark.parametrize("suffix", EXIF_SUFFIXES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_detection_and_training_turn_an_image_as_pillow_does(tmp_path, suffix, orientation):
    path = turned(tmp_path / f"a{suffix}", orientation)
    with PIL.Image.open(path) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    assert upright.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    image = read_source(path)
    assert np.array_equal(image, upright)
    assert image.flags.c_contiguous
    assert np.array_equal(read_training_image(path), upright)
    assert read_image_size(path) == read_training_size(path) == (upright.shape[1], upright.shape[0])


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_invalid_orientation_is_none(tmp_path, orientation):
    assert is_like(read_source(turned(tmp_path / "a.png", orientation)), CORNERS)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0not TIFF", b"Exif\0\0MM\0\x2a\xff\xff\xff\xff", b"Exif\0\0II*\0" + b"\xff" * 40])
def test_damaged_exif_data_is_none(tmp_path, exif):
    data = save(tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    assert is_like(read_source(tmp_path / "a.jpg"), CORNERS)
    assert read_image_size(tmp_path / "a.jpg") == (64, 48)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_an_image_is_recognised_without_its_suffix(tmp_path, suffix):
    path = turned(tmp_path / f"a{suffix}", 5).rename(tmp_path / "upload")
    assert source_kind(str(path)) is (SourceKind.FILE if suffix in (".webp", ".avif") else SourceKind.IMAGE)
    if suffix == ".webp":  # FFmpeg's
        return
    assert is_like(read_source(path), CORNERS.swapaxes(0, 1))


def test_every_mode_becomes_rgb(tmp_path):
    colour = PIL.Image.fromarray(CORNERS)
    for mode, name in [
        ("L", "grey.jpg"),
        ("CMYK", "cmyk.jpg"),
        ("P", "palette.png"),
        ("RGBA", "alpha.png"),
        ("1", "bits.png"),
        ("LA", "a.png"),
    ]:
        colour.convert(mode).save(tmp_path / name)
        assert is_like(read_image(tmp_path / name), np.asarray(colour.convert(mode).convert("RGB"))), name
    colour.quantize(4).save(tmp_path / "clear.png", transparency=b"\0\x80\xff\xff")
    assert is_like(read_image(tmp_path / "clear.png"), CORNERS)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_become_eight(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    PIL.Image.fromarray(ramp).save(tmp_path / f"a{suffix}")
    assert np.abs(read_image(tmp_path / f"a{suffix}")[..., 1].astype(int) - ramp / 257).max() <= 1


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_the_first_frame_of_an_animation_is_read_and_the_rest_reported(tmp_path, caplog, suffix):
    others = [PIL.Image.fromarray(255 - CORNERS), PIL.Image.fromarray(CORNERS)]
    path = save(tmp_path / f"a{suffix}", save_all=True, append_images=others, duration=100)
    assert is_like(read_source(path), CORNERS)
    assert f"{path} is an animation, of which only the first frame is read; convert it to MP4" in caplog.text


def test_the_first_page_of_a_document_is_read(tmp_path, caplog):
    path = save(tmp_path / "a.tiff", save_all=True, append_images=[PIL.Image.fromarray(255 - CORNERS)])
    assert np.array_equal(read_source(path), CORNERS)
    assert not caplog.text


@pytest.mark.parametrize("name", ["a.heic", "a.jpg", "upload"])
def test_heic_is_read_or_refused_by_the_package_that_it_needs(tmp_path, monkeypatch, name):
    path = tmp_path / name
    path.write_bytes(HEIC.read_bytes())
    monkeypatch.setattr("edge_hoi.ingest.image_file._formats", lambda: ["JPEG", "AVIF"])
    with pytest.raises(SourceError, match="HEIC needs the package pillow-heif; `pip install pillow-heif`, or convert it to JPEG") as caught:
        read_source(path)
    assert caught.value.code == "unsupported"


def test_heic_is_read_where_its_package_is_installed():
    pytest.importorskip("pillow_heif", reason="needs pillow-heif: pip install pillow-heif")
    assert is_like(read_source(HEIC), CORNERS)


def test_what_a_folder_holds_besides_readable_images_is_named_and_counted(tmp_path, caplog):
    save(tmp_path / "a.jfif", numbered_image(1))
    (tmp_path / "b.jpg").write_text("not an image")
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic")
    for name in ("notes.txt", "more.txt", "clip.mp4", "README", ".hidden"):
        (tmp_path / name).write_text("")
    (tmp_path / "sub").mkdir()
    with open_source(str(tmp_path), source_id="door") as source:
        assert len(list(source)) == 1
    assert source.tally.decode_errors == 2
    assert "no suffix of an image: 1 .mp4, 2 .txt, 1 file without suffix, 1 folder" in caplog.text
    assert f"door: image skipped. Cannot read {tmp_path / 'b.jpg'}: this is not a video or an image" in caplog.text
    assert f"door: image skipped. Cannot read {tmp_path / 'c.heic'}: " in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "10²5.jpg",
        "²³.jpg",
        "٣.jpg",
        "Bildschirmfoto\u202f10.21.jpg",
        "a\u00a0b.jpg",
        "a\u3000b.jpg",
        "①.jpg",
        "👨\u200d👩.jpg",
        "9" * 200 + ".jpg",
    ],
)
def test_no_name_crashes_a_folder(tmp_path, name):
    for each in ("2.jpg", "10.jpg", name):
        save(tmp_path / each)
    with open_source(str(tmp_path), source_id="door") as source:
        assert len(list(source)) == 3


def test_a_name_that_is_not_utf8_is_read(tmp_path):
    path = save(tmp_path / "a.png").rename(tmp_path / "M\udcf6we.png")
    assert is_like(read_source(path), CORNERS)


def test_a_name_that_is_too_long_is_one_line():
    with pytest.raises(SourceError, match=r"^Cannot read aaa[^\n]*$"):
        open_source("a" * 300 + ".jpg", source_id="door")


def test_a_folder_that_cannot_be_listed_is_one_line(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match="listing the folder is not permitted; change the permissions") as caught:
        open_source(str(tmp_path), source_id="door")
    assert caught.value.code == "unauthorized"


@pytest.mark.filterwarnings("ignore")  # Pillow's
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_an_image_or_an_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    content = bytearray(turned(folder / f"a{data.draw(st.sampled_from([*EXIF_SUFFIXES, '.png', '.tif']))}", 6).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged.jpg"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    for read in (read_image_size, open_image):
        try:
            read(path)
        except SourceError as error:
            assert "\n" not in str(error)  # noqa: PT017
