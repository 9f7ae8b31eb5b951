"""Preprocessing equals the published one, up to the tolerances stated here."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from edge_hoi.detection.preprocess import Preprocessor, resize
from edge_hoi.detection.resample import ClipCrop
from edge_hoi.runtime import InputDescription

IMAGE_MEAN, IMAGE_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CLIP_MEAN, CLIP_STD = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])


def _preprocessor(height: int = 384, width: int = 672, clip_size: int = 224) -> Preprocessor:
    description = InputDescription(
        stride=32,
        height=height,
        width=width,
        clip_size=clip_size,
        image_mean=tuple(IMAGE_MEAN),
        image_std=tuple(IMAGE_STD),
        clip_mean=tuple(CLIP_MEAN),
        clip_std=tuple(CLIP_STD),
    )
    return Preprocessor(description, height=height, width=width)


def _pixels(planes: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    return (planes.transpose(1, 2, 0) * std + mean) * 255


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def photos(shared_data):
    """Return COCO photos side by side, 2560x1708, for real detail at every size."""
    image = pytest.importorskip("PIL.Image", reason="needs the extra: pip install '.[build]'")
    paths = sorted((shared_data / "vcoco" / "images").glob("*.jpg"))
    tiles = [np.array(image.open(path).convert("RGB").resize((640, 427), image.Resampling.BILINEAR)) for path in paths]
    return np.concatenate([np.concatenate([tiles[(4 * row + column) % len(tiles)] for column in range(4)], axis=1) for row in range(4)])


@pytest.mark.parametrize(("width", "height"), [(640, 360), (768, 432), (1280, 720), (1920, 1080), (2560, 1440)])
def test_resized_photo_is_close_to_the_published_resampling(photos, width, height):
    image = pytest.importorskip("PIL.Image", reason="needs the extra: pip install '.[build]'")
    frame = np.ascontiguousarray(photos[:height, :width])
    published = np.asarray(image.fromarray(frame).resize((672, 384), image.Resampling.BILINEAR))
    difference = np.abs(resize(frame, height=384, width=672).astype(int) - published)
    assert difference.mean() < 1.0
    assert np.percentile(difference, 99.9) <= 14


def test_720p_photo_differs_from_the_published_resampling_by_less_than_half_a_grey_level(photos):
    image = pytest.importorskip("PIL.Image", reason="needs the extra: pip install '.[build]'")
    frame = np.ascontiguousarray(photos[:720, :1280])
    published = np.asarray(image.fromarray(frame).resize((672, 384), image.Resampling.BILINEAR))
    difference = np.abs(resize(frame, height=384, width=672).astype(int) - published)
    assert difference.mean() < 0.5
    assert difference.max() <= 12


@pytest.mark.parametrize(("height", "width"), [(384, 672), (480, 352), (160, 288)])
def test_clip_crop_of_a_photo_equals_the_published_one_up_to_rounding(photos, height, width):
    image = pytest.importorskip("PIL.Image", reason="needs the extra: pip install '.[build]'")
    resized = np.ascontiguousarray(photos[:height, :width])
    scaled = (224 * width // min(height, width), 224 * height // min(height, width))
    left, top = (round((side - 224) / 2) for side in scaled)
    published = image.fromarray(resized).resize(scaled, image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224))
    clip_image = _preprocessor(height, width)([resized])["clip_image"][0]
    difference = np.abs(_pixels(clip_image, CLIP_MEAN, CLIP_STD) - np.asarray(published))
    assert difference.mean() < 0.35  # PIL rounds to whole grey levels twice
    assert np.percentile(difference, 99.9) < 2
    assert difference.max() < 10  # and cuts overshoot off between its two passes


def test_image_is_resized_and_normalised():
    frame = _noise(720, 1280)
    image = _preprocessor()([frame])["image"]
    assert image.shape == (1, 3, 384, 672)
    assert image.dtype == np.float32
    np.testing.assert_allclose(_pixels(image[0], IMAGE_MEAN, IMAGE_STD), resize(frame, height=384, width=672), atol=1e-3)


def test_clip_image_stays_within_black_and_white():
    frame = np.zeros((384, 672, 3), np.uint8)
    frame[:, 336:] = 255
    pixels = _pixels(_preprocessor()([frame])["clip_image"][0], CLIP_MEAN, CLIP_STD)
    assert pixels.min() == pytest.approx(0, abs=1e-3)
    assert pixels.max() == pytest.approx(255, abs=1e-3)


def test_image_of_the_right_size_is_not_copied():
    frame = _noise(384, 672)
    assert resize(frame, height=384, width=672) is frame


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1080, 1920), (2160, 3840)])
def test_stripes_too_fine_for_the_size_become_grey_without_aliasing(height, width):
    frame = np.zeros((height, width, 3), np.uint8)
    frame[:, ::2] = 255
    inner = resize(frame, height=384, width=672)[8:-8, 8:-8].astype(float)
    assert inner.mean() == pytest.approx(127.5, abs=2)
    assert inner.std() < 12  # plain bilinear sampling gives more than 40


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 255))
def test_uniform_colour_is_unchanged_at_any_size(height, width, level):
    preprocess = _preprocessor(96, 160, 32)
    inputs = preprocess([np.full((height, width, 3), level, np.uint8)])
    np.testing.assert_allclose(_pixels(inputs["image"][0], IMAGE_MEAN, IMAGE_STD), level, atol=1e-3)
    np.testing.assert_allclose(_pixels(inputs["clip_image"][0], CLIP_MEAN, CLIP_STD), level, atol=1e-2)


def test_batch_equals_singles_and_frames_may_differ_in_size():
    frames = [_noise(90, 160), _noise(480, 640, 1), _noise(96, 160, 2)]
    preprocess = _preprocessor(96, 160, 32)
    together = {name: array.copy() for name, array in preprocess(frames).items()}
    for index, frame in enumerate(frames):
        alone = preprocess([frame])
        for name in ("image", "clip_image"):
            assert len(alone[name]) == 1
            np.testing.assert_array_equal(together[name][index], alone[name][0])


def test_next_call_reuses_the_memory():
    preprocess = _preprocessor(96, 160, 32)
    assert np.shares_memory(preprocess([_noise(90, 160)])["image"], preprocess([_noise(480, 640)])["image"])


def test_no_images_give_empty_inputs():
    inputs = _preprocessor(96, 160, 32)([])
    assert {name: array.shape for name, array in inputs.items()} == {"image": (0, 3, 96, 160), "clip_image": (0, 3, 32, 32)}


def _plain_bicubic(line: np.ndarray, resized: int) -> np.ndarray:
    """Resample one line pixel by pixel: Keys' kernel (a = -1/2), widened for downscaling, truncated at the ends."""
    scale = len(line) / resized
    stretch = max(scale, 1.0)
    result = []
    for index in range(resized):
        total = weight_sum = 0.0
        for source, value in enumerate(line):
            x = abs((source + 0.5 - (index + 0.5) * scale) / stretch)
            weight = 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0
            total, weight_sum = total + weight * value, weight_sum + weight
        result.append(total / weight_sum)
    return np.array(result)


@given(st.integers(8, 50), st.integers(8, 50), st.integers(4, 40))
def test_clip_crop_equals_a_plain_resampling_at_any_size(height, width, size):
    planes = np.random.default_rng(0).random((3, height, width), np.float32)
    rows, columns = size * height // min(height, width), size * width // min(height, width)
    expected = np.apply_along_axis(_plain_bicubic, 1, planes.astype(float), rows)
    expected = np.apply_along_axis(_plain_bicubic, 2, expected, columns)
    top, left = round((rows - size) / 2), round((columns - size) / 2)
    crop = np.empty((3, size, size), np.float32)
    ClipCrop(height=height, width=width, size=size)(planes, crop)
    np.testing.assert_allclose(crop, expected[:, top : top + size, left : left + size], atol=1e-5)
