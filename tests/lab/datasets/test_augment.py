import pytest

image = pytest.importorskip("PIL.Image", reason="needs the extra: pip install '.[build]'")

import numpy as np

from edge_hoi.errors import ConfigError
from edge_hoi.lab.datasets.augment import ImageSizes, Scene, augment, clip_square, crop, flip, jitter, resize, resized_size


def scene(width=60, height=40, boxes=((10, 5, 30, 25),)):
    pixels = np.random.RandomState(0).randint(0, 255, (height, width, 3), dtype=np.uint8)
    return Scene(image.fromarray(pixels), np.array(boxes, np.float64).reshape(-1, 4))


def marked(width=60, height=40, box=(10, 5, 30, 25)):
    """A black image with a white box."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    return Scene(image.fromarray(pixels), np.array([box], np.float64))


def found_box(pixels):
    """Return the box of the bright pixels."""
    grey = np.asarray(pixels)[:, :, 0].astype(int)
    rows, columns = np.nonzero(2 * grey > grey.min() + grey.max())
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_images_of_a_fixed_size_are_not_cropped():
    sizes = ImageSizes.for_longest(120, is_fixed=True)
    boxes = set()
    for seed in range(8):
        changed = augment(marked(), sizes, np.random.default_rng(seed))
        assert changed.image.size == resized_size(60, 40, sizes.test_side, 120)
        boxes.add(tuple(np.round(changed.boxes[0] / np.tile(changed.image.size, 2), 2).tolist()))
    assert boxes == {(0.17, 0.12, 0.5, 0.62), (0.5, 0.12, 0.83, 0.62)}  # as it is, and mirrored


def test_flip_mirrors_boxes():
    flipped = flip(marked())
    assert flipped.boxes.tolist() == [[30, 5, 50, 25]]
    assert found_box(flipped.image) == [30, 5, 50, 25]
    assert flip(flipped).boxes.tolist() == marked().boxes.tolist()


def test_resize_scales_boxes():
    resized = resize(marked(), 80)
    assert resized.image.size == (120, 80)
    assert resized.boxes.tolist() == [[20, 10, 60, 50]]
    assert found_box(resized.image) == [20, 10, 60, 50]


def test_crop_clips_boxes_and_leaves_no_area_outside():
    cropped = crop(scene(boxes=[(10, 5, 30, 25), (0, 0, 9, 9), (20, 10, 60, 40)]), 15, 10, 20, 20)
    assert cropped.image.size == (20, 20)
    assert cropped.boxes.tolist() == [[0, 0, 15, 15], [0, 0, 0, 0], [5, 0, 20, 20]]
    assert found_box(crop(marked(), 15, 10, 20, 20).image) == [0, 0, 15, 15]


@pytest.mark.parametrize(
    ("size", "side", "longest", "expected"),
    [
        ((640, 480), 800, 1333, (1066, 800)),
        ((480, 640), 800, 1333, (800, 1066)),
        ((640, 427), 800, 1333, (1199, 800)),
        ((1000, 300), 800, 1333, (1333, 400)),
        ((300, 1000), 800, 1333, (400, 1333)),
        ((800, 800), 800, 1333, (800, 800)),
        ((5000, 1), 800, 1333, (5000, 1)),
        ((640, 480), 600, None, (800, 600)),
    ],
)
def test_sizes_are_rounded_as_in_the_published_code(size, side, longest, expected):
    assert resized_size(*size, side, longest) == expected


def test_transforms_are_those_of_torchvision():
    v2 = pytest.importorskip("torchvision.transforms.v2.functional", reason="needs the extra: pip install '.[build]'")
    transforms = pytest.importorskip("torchvision.transforms", reason="needs the extra: pip install '.[build]'")
    original = scene(width=301, height=200).image
    ours = resize(Scene(original, np.zeros((0, 4))), 133).image
    assert np.array_equal(np.asarray(ours), np.asarray(v2.resize(original, [133, 200])))
    square = transforms.Compose([transforms.Resize(97, interpolation=transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(97)])
    assert np.array_equal(np.asarray(clip_square(original, 97)), np.asarray(square(original)))


class FixedGenerator:
    """A generator that returns the values of a test."""

    def __init__(self, factors, order):
        self.factors, self.order = np.array(factors), order

    def uniform(self, low, high, count):
        assert (low, high, count) == (0.6, 1.4, 3)
        return self.factors

    def permutation(self, count):
        assert count == 3
        return self.order


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_jitter_is_torchvisions(order):
    v2 = pytest.importorskip("torchvision.transforms.v2.functional", reason="needs the extra: pip install '.[build]'")
    original = scene().image
    adjust, expected = [v2.adjust_brightness, v2.adjust_contrast, v2.adjust_saturation], original
    factors = [0.7, 1.3, 0.9]
    for index in order:
        expected = adjust[index](expected, factors[index])
    assert np.array_equal(np.asarray(jitter(original, FixedGenerator(factors, order))), np.asarray(expected))


def test_augmentation_depends_on_its_generator_alone():
    once, again, other = (augment(scene(600, 450), ImageSizes(), np.random.default_rng((0, 3, seed))) for seed in (7, 7, 8))
    assert np.array_equal(np.asarray(once.image), np.asarray(again.image))
    assert np.array_equal(once.boxes, again.boxes)
    assert once.image.size != other.image.size or not np.array_equal(np.asarray(once.image), np.asarray(other.image))


def test_boxes_stay_on_their_objects():
    sizes = ImageSizes.for_longest(333)
    seen_sizes, flips = set(), 0
    for seed in range(60):
        before = marked(240, 180, (40, 60, 120, 150))
        after = augment(before, sizes, np.random.default_rng(seed))
        box = after.boxes[0]
        assert np.abs(np.array(found_box(after.image)) - box).max() <= 1.01
        assert max(after.image.size) <= 333
        seen_sizes.add(min(after.image.size))
        flips += box[[0, 2]].mean() > after.image.width / 2
    assert seen_sizes <= set(sizes.train_sides)
    assert len(seen_sizes) >= 8
    assert 15 <= flips <= 45


def test_published_sizes_are_the_default():
    sizes = ImageSizes()
    assert (sizes.test_side, sizes.longest) == (800, 1333)
    assert sizes.train_sides == (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    assert ImageSizes.for_longest(1333) == sizes


def test_small_sizes_fit_together():
    for longest in (32, 64, 320, 2000):
        assert max(ImageSizes.for_longest(longest).train_sides) < longest
    with pytest.raises(ConfigError, match="at least 32 pixels"):
        ImageSizes.for_longest(31)
    with pytest.raises(ConfigError, match="none larger than the longest"):
        ImageSizes(longest=700)
    with pytest.raises(ConfigError, match="no larger than any image to crop"):
        ImageSizes(crop_min=401)
