"""Decoded images that are converted when they are read."""

import threading

import av
import numpy as np
import PIL.Image
import pytest
from av.video.reformatter import Interpolation, VideoReformatter
from numbered_clips import number_of, write_clip

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.detection.preprocess import Preprocessor
from edge_hoi.ingest import open_source
from edge_hoi.ingest.video_image import Reformatters, Turn, VideoImage
from edge_hoi.runtime.fake_engine import fake_manifest

UPRIGHT = Turn(False, False, False)
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
FORMATS = (
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuvj422p",
    "yuv444p",
    "yuv420p10le",
    "yuv422p12le",
    "nv12",
    "yuyv422",
    "gray",
    "rgb24",
    "gbrp",
)


@pytest.fixture(scope="module")
def picture():
    """Return an image of the embedded clip, `(320, 576, 3)`."""
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        return next(iter(source)).image


def decoded(image, pixel_format="yuv420p"):
    return VideoReformatter().reformat(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"), format=pixel_format)


def image_of(frame, turn=UPRIGHT):
    return VideoImage(frame, frame.width, turn, Reformatters())


def published(frame, width, height):
    """Convert as precisely as libswscale can, then resize as the published preprocessing does."""
    rgb = VideoReformatter().reformat(frame, format="rgb24", interpolation=EXACT).to_ndarray()
    return np.asarray(PIL.Image.fromarray(rgb).resize((width, height), PIL.Image.Resampling.BILINEAR)).astype(int)


@pytest.mark.parametrize(("width", "height"), [(288, 160), (128, 96), (672, 384)])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_resized_frame_of_any_format_is_close_to_the_published_resampling(picture, pixel_format, width, height):
    frame = decoded(picture, pixel_format)
    difference = np.abs(image_of(frame).resized(height=height, width=width).transpose(1, 2, 0) - published(frame, width, height))
    assert difference.mean() < 0.8
    assert np.percentile(difference, 99) <= 10  # at edges of chroma, which is resized from its own resolution


@pytest.mark.parametrize(("rows", "columns"), [(319, 575), (201, 333), (97, 161), (3, 5), (1, 1)])
def test_frames_with_odd_sides_are_resized(picture, rows, columns):
    frame = decoded(picture[:rows, :columns])
    difference = np.abs(image_of(frame).resized(height=96, width=160).transpose(1, 2, 0) - published(frame, 160, 96))
    assert difference.mean() < 1.5
    assert image_of(frame).rgb().shape == image_of(frame).shape == (rows, columns, 3)


@pytest.mark.parametrize("turn", [Turn(a, b, c) for a in (False, True) for b in (False, True) for c in (False, True)])
def test_resized_image_is_turned_as_the_whole_one(picture, turn):
    image = image_of(decoded(picture), turn)
    height, width, _ = image.shape
    resized = image.resized(height=height // 2, width=width // 2)
    expected = np.asarray(PIL.Image.fromarray(image.rgb()).resize((width // 2, height // 2), PIL.Image.Resampling.BILINEAR)).astype(int)
    assert resized.flags.c_contiguous
    assert np.abs(resized.transpose(1, 2, 0) - expected).mean() < 2  # `rgb` is converted with less precision


def test_pixels_that_are_not_square_are_resized_to_the_shape_of_the_whole_image(picture):
    image = VideoImage(decoded(picture), 288, UPRIGHT, Reformatters())
    assert image.shape == image.rgb().shape == (320, 288, 3)
    expected = np.asarray(PIL.Image.fromarray(image.rgb()).resize((144, 160), PIL.Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(image.resized(height=160, width=144).transpose(1, 2, 0) - expected).mean() < 2


def test_each_form_is_made_once_for_all_threads(picture):
    image = image_of(decoded(picture))
    seen = []
    threads = [threading.Thread(target=lambda: seen.append((image.rgb(), image.resized(height=96, width=160)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all(rgb is image.rgb() and resized is image.resized(height=96, width=160) for rgb, resized in seen)


def test_reduced_image_is_the_one_resized_last_or_the_whole(picture):
    image = image_of(decoded(picture))
    assert image.reduced is image.rgb()
    for height, width in ((96, 160), (160, 288)):
        resized = image.resized(height=height, width=width)
        np.testing.assert_array_equal(image.reduced, resized.transpose(1, 2, 0))
        assert np.shares_memory(image.reduced, resized)


def test_images_stay_as_they_are_while_later_frames_are_decoded_and_may_be_drawn_on(tmp_path):
    with open_source(str(write_clip(tmp_path / "a.mp4")), source_id="door") as source:
        frames = list(source)
    assert [number_of(frame.pixels.resized(height=60, width=80).transpose(1, 2, 0).repeat(2, 0).repeat(2, 1)) for frame in frames] == list(
        range(50)
    )
    assert [number_of(frame.image) for frame in frames] == list(range(50))
    frames[0].image[:] = 7
    assert (frames[0].image == 7).all()
    assert number_of(frames[1].image) == 1


def test_a_frame_that_nobody_reads_is_not_converted(tmp_path, monkeypatch):
    converted = []
    reformat = Reformatters.reformat
    monkeypatch.setattr(Reformatters, "reformat", lambda *arguments: converted.append(arguments[2:]) or reformat(*arguments))
    with open_source(str(write_clip(tmp_path / "a.mp4")), source_id="door") as source:
        frames = list(source)
        assert len(frames) == 50
        assert converted == [(160, 120, "rgb24")]  # to find out whether its frames can be converted
        frames[30].pixels.resized(height=60, width=80)
        assert converted[1:] == [(80, 60, "gbrp")]


def test_a_preprocessor_takes_decoded_images_and_arrays_alike(picture):
    manifest = fake_manifest()
    preprocess = Preprocessor(manifest.input, height=96, width=160)
    image = image_of(decoded(picture))
    resized = np.ascontiguousarray(image.resized(height=96, width=160).transpose(1, 2, 0))
    together = preprocess([image, resized])
    for name in ("image", "clip_image"):
        np.testing.assert_array_equal(together[name][0], together[name][1])
