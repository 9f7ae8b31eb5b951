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


@pytest.mark.parametrize(("width", "height"), [(192, 106), (160, 96), (64, 64)])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_resized_frame_of_any_format_is_close_to_the_published_resampling(picture, pixel_format, width, height):
    frame = decoded(picture, pixel_format)
    difference = np.abs(image_of(frame).resized(height=height, width=width).transpose(1, 2, 0) - published(frame, width, height))
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99) <= 5


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


@pytest.mark.parametrize(("rows", "columns", "is_direct"), [(288, 480, True), (287, 480, False), (288, 479, False), (96, 160, False)])
def test_only_frames_of_three_times_the_size_are_resized_before_they_are_converted(picture, rows, columns, is_direct):
    preprocess = Preprocessor(fake_manifest().input, height=96, width=160)
    image = image_of(decoded(picture[:rows, :columns]))
    together = preprocess(
        [image, np.ascontiguousarray(image.resized(height=96, width=160).transpose(1, 2, 0)) if is_direct else image.rgb()]
    )
    assert len(together) == 2
    for inputs in together.values():
        np.testing.assert_array_equal(inputs[0], inputs[1])


@pytest.mark.parametrize("error", [av.error.OptionNotFoundError(1, "no such option"), ValueError("no filter setparams")])
def test_frames_are_converted_where_ffmpeg_cannot_move_their_chroma(picture, monkeypatch, error):
    class OldGraph:
        def add_buffer(self, **options):
            raise error

    image = image_of(decoded(picture))
    expected = image.resized(height=96, width=160)
    monkeypatch.setattr("edge_hoi.ingest.video_image.Graph", OldGraph)
    np.testing.assert_array_equal(image_of(decoded(picture)).resized(height=96, width=160), expected)  # this frame's is there already


def test_a_video_that_changes_its_size_again_and_again_keeps_few_converters(picture):
    reformatters = Reformatters()
    for rows in range(20, 120):
        VideoImage(decoded(picture[:rows]), 576, UPRIGHT, reformatters).rgb()
    assert len(reformatters._idle) <= 17


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "nv12", "gray", "rgb24"])
def test_shared_pixels_give_the_same_image(picture, pixel_format):
    image = VideoImage(decoded(picture, pixel_format), 600, Turn(True, False, True), Reformatters())
    stored, pixels = image.share()
    assert stored.pixel_format == pixel_format
    shared = VideoImage.from_shared(stored, pixels, Reformatters())
    assert shared.shape == image.shape == (600, 320, 3)
    np.testing.assert_array_equal(shared.rgb(), image.rgb())
    np.testing.assert_array_equal(shared.resized(height=160, width=96), image.resized(height=160, width=96))


@pytest.mark.parametrize(
    ("pixel_format", "rows", "columns"), [("yuv422p", 320, 576), ("yuv420p10le", 320, 576), ("yuv420p", 318, 576), ("yuv420p", 320, 575)]
)
def test_pixels_that_cannot_be_wrapped_are_shared_as_rgb(picture, pixel_format, rows, columns):
    image = image_of(decoded(picture[:rows, :columns], pixel_format))
    stored, pixels = image.share()
    assert (stored.pixel_format, pixels.shape) == ("rgb24", (rows, columns, 3))
    np.testing.assert_array_equal(VideoImage.from_shared(stored, pixels, Reformatters()).rgb(), image.rgb())
