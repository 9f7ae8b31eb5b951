import numpy as np
import pytest

from edge_hoi.tracking.appearance import BANDS, describe, differences, occluded_fraction

BOX = np.array([[20, 10, 60, 130]], np.float32)
LIMIT = 10.0


def picture(*people, ground=(90, 110, 90)):
    """Paint people, each a box, the colour above and the colour below the waist."""
    image = np.full((160, 240, 3), ground, np.uint8)
    for (left, top, right, bottom), shirt, trousers in people:
        waist = (top + bottom) // 2
        image[top:waist, left:right], image[waist:bottom, left:right] = shirt, trousers
    return image


RED = ((20, 10, 60, 130), (200, 30, 30), (30, 30, 60))
BLUE = ((20, 10, 60, 130), (40, 60, 200), (30, 30, 60))
TURNED = ((20, 10, 60, 130), (30, 30, 60), (200, 30, 30))


def of(*people, boxes=BOX, **scene):
    return describe(picture(*people, **scene), boxes)


def test_people_in_other_colours_differ_and_one_person_does_not():
    assert differences(of(RED), of(RED)).item() == 0
    assert differences(of(RED), of(BLUE)).item() > LIMIT
    assert differences(of(RED), of(TURNED)).item() > LIMIT  # the same colours, elsewhere


def test_a_box_a_few_pixels_off_still_shows_the_same_person():
    assert differences(of(RED), of(RED, boxes=BOX + np.float32([4, -4, 3, 4]))).item() < LIMIT / 2


@pytest.mark.parametrize("light", [0.7, 1.25])
def test_in_another_light_a_person_stays_the_same(light):
    def lit(*people):
        return describe(np.clip(picture(*people).astype(np.float32) * light, 0, 255).astype(np.uint8), BOX)

    assert differences(of(RED), lit(RED)).item() < LIMIT < differences(of(RED), lit(BLUE)).item()


def test_a_larger_picture_of_the_same_looks_the_same():
    large = picture(RED).repeat(8, axis=0).repeat(8, axis=1)
    assert differences(of(RED), describe(large, BOX * 8)).item() < 1


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (230, 150, 400, 400), (5, 5, 5, 5), (-9, -9, 999, 999), (239.5, 0, 240, 160)])
def test_boxes_at_or_beyond_the_border_are_described_too(box):
    described = of(RED, boxes=np.array([box], np.float32))
    assert described.shape == (1, 3 * BANDS)
    assert np.isfinite(described).all()


def test_nobody_has_no_appearance():
    assert of(boxes=np.zeros((0, 4), np.float32)).shape == (0, 3 * BANDS)
    assert differences(of(RED), of(boxes=np.zeros((0, 4), np.float32))).shape == (1, 0)


def test_whose_feet_are_lower_covers_the_other():
    behind, before, beside = (0, 0, 40, 100), (10, 10, 50, 110), (45, 0, 85, 100)
    assert occluded_fraction(np.array([behind, before, beside], np.float32)) == pytest.approx([30 * 90 / 4000, 0, 5 * 90 / 4000])
    assert occluded_fraction(np.zeros((0, 4), np.float32)).shape == (0,)
