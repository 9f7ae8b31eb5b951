"""Frames as players show them: display matrices and sample aspect ratios."""

import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import PIL.Image
import pytest
from numbered_clips import HEIGHT, WIDTH, number_of, numbered_image

from edge_hoi.ingest import open_source
from edge_hoi.media import VideoWriter

ONE, LAST = 1 << 16, 1 << 30
CORNERS = np.zeros((48, 64, 3), np.uint8)
CORNERS[:24, :32], CORNERS[:24, 32:], CORNERS[24:, :32], CORNERS[24:, 32:] = (220, 30, 30), (30, 220, 30), (30, 30, 220), (200, 200, 40)
MATRICES = {  # a, b, c, d of x' = a x + c y, y' = b x + d y, and how NumPy does it
    "none": ((1, 0, 0, 1), lambda image: image),
    "hflip": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "vflip": ((1, 0, 0, -1), lambda image: image[::-1]),
    "half turn": ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
    "transpose": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda image: image[::-1, ::-1].swapaxes(0, 1)),
    "clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "counterclockwise": ((0, -1, 1, 0), np.rot90),
    "scaled": ((0, 3, -3, 0), lambda image: np.rot90(image, -1)),
    "all zero": ((0, 0, 0, 0), lambda image: image),
    "without y": ((-1, 0, 0, 0), lambda image: image),
    "without x": ((0, 1, 0, 0), lambda image: image),
}


def write(path, *, matrix=None, ratio=None, image=CORNERS, frames=12):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1"})
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        if matrix is not None:
            a, b, c, d = (value * ONE for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, LAST])
        if ratio is not None:
            stream.codec_context.sample_aspect_ratio = ratio
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def read_all(path):
    with open_source(str(path), source_id="door") as source:
        frames = list(source)
    assert {frame.image.shape for frame in frames} == {(source.info.height, source.info.width, 3)}
    assert all(frame.image.flags.c_contiguous for frame in frames)
    return [frame.image for frame in frames]


@pytest.mark.parametrize("name", MATRICES)
def test_a_display_matrix_is_applied_as_its_mathematics_says(tmp_path, name):
    matrix, turn = MATRICES[name]
    plain = read_all(write(tmp_path / "plain.mp4"))
    shown = read_all(write(tmp_path / "a.mp4", matrix=matrix))
    assert len(shown) == len(plain)
    for image, stored in zip(shown, plain, strict=True):
        assert np.array_equal(image, turn(stored))


@pytest.mark.parametrize("name", MATRICES)
def test_a_display_matrix_is_applied_as_ffmpeg_does(tmp_path, name):
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the ffmpeg program: apt-get install ffmpeg")
    path = write(tmp_path / "a.mp4", matrix=MATRICES[name][0])
    command = ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", tmp_path / "seen.ppm"]
    subprocess.run(command, check=True, timeout=60)
    with PIL.Image.open(tmp_path / "seen.ppm") as expected:
        assert np.array_equal(read_all(path)[0], np.asarray(expected))


def test_an_inexact_turn_is_the_nearest(tmp_path):
    path = write(tmp_path / "a.mp4", matrix=(0.01, 0.99, -0.99, 0.01))
    assert np.array_equal(read_all(path)[0], np.rot90(read_all(write(tmp_path / "plain.mp4"))[0], -1))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
@pytest.mark.parametrize(("ratio", "width"), [((16, 11), 1047), ((64, 45), 1024), ((8, 9), 640), ((1, 1), 720), ((2, 1), 1440)])
def test_pixels_become_square(tmp_path, suffix, ratio, width):
    image = np.ascontiguousarray(np.broadcast_to(np.linspace(20, 220, 720).astype(np.uint8)[None, :, None], (576, 720, 3)))
    for shown in read_all(write(tmp_path / f"a{suffix}", ratio=Fraction(*ratio), image=image)):
        assert shown.shape == (576, width, 3)
        assert np.abs(shown[300, :, 1] - np.linspace(20, 220, width)).max() < 6


def test_a_container_overrides_the_ratio_of_its_video(tmp_path):
    path = write(tmp_path / "a.mp4", ratio=Fraction(16, 11))
    data = path.read_bytes()
    stored = b"pasp" + (16).to_bytes(4, "big") + (11).to_bytes(4, "big")
    assert data.count(stored) == 1
    path.write_bytes(data.replace(stored, b"pasp" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big")))
    assert read_all(path)[0].shape == (48, 128, 3)


@pytest.mark.parametrize("ratio", [(1, 5), (5, 1), (255, 1)])
def test_an_implausible_ratio_is_none(tmp_path, ratio):
    assert read_all(write(tmp_path / "a.mkv", ratio=Fraction(*ratio)))[0].shape == (48, 64, 3)


def test_pixels_become_square_before_the_frame_is_turned(tmp_path):
    path = write(tmp_path / "a.mp4", matrix=(0, 1, -1, 0), ratio=Fraction(16, 11), image=numbered_image(37))
    image = read_all(path)[0]
    assert image.shape == (round(WIDTH * 16 / 11), HEIGHT, 3)
    upright = np.asarray(PIL.Image.fromarray(np.ascontiguousarray(np.rot90(image))).resize((WIDTH, HEIGHT)))
    assert number_of(upright) == 37


def test_an_annotated_video_of_a_stretched_one_has_its_shape(tmp_path):
    shown = read_all(write(tmp_path / "a.mp4", ratio=Fraction(16, 11)))
    height, width, _ = shown[0].shape
    with VideoWriter(tmp_path / "seen.mp4", width, height, 25.0) as writer:
        for number, image in enumerate(shown):
            writer.write(image, number / 25)
    assert read_all(tmp_path / "seen.mp4")[0].shape == (48, 94, 3)  # to an even width


def test_side_data_that_pyav_does_not_know_is_no_failure(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.mjpeg"
    with path.open("wb") as file:
        for _ in range(3):
            PIL.Image.fromarray(CORNERS).save(file, format="JPEG", exif=exif, quality=95)
    images = read_all(path)
    assert len(images) == 3
    assert np.abs(images[2].astype(int) - np.rot90(CORNERS, -1)).mean() < 4
