import numpy as np
import pytest

from edge_hoi.tracking.appearance import BANDS, compute_appearances, occluded_fraction, pairwise_differences

BOX = np.array([[20, 10, 60, 130]], np.float32)
LIMIT = 10.0


def paint(*people, background=(90, 110, 90)):
    """Paint people, each a box, a shirt colour and a trousers colour."""
    image = np.full((160, 240, 3), background, np.uint8)
    for (left, top, right, bottom), shirt, trousers in people:
        waist = (top + bottom) // 2
        image[top:waist, left:right], image[waist:bottom, left:right] = shirt, trousers
    return image


RED = ((20, 10, 60, 130), (200, 30, 30), (30, 30, 60))
BLUE = ((20, 10, 60, 130), (40, 60, 200), (30, 30, 60))
TURNED = ((20, 10, 60, 130), (30, 30, 60), (200, 30, 30))


def of(*people, boxes=BOX, **scene):
    return compute_appearances(paint(*people, **scene), boxes)


def test_appearance_differs_between_people_and_not_for_one_person():
    assert pairwise_differences(of(RED), of(RED)).item() == 0
    assert pairwise_differences(of(RED), of(BLUE)).item() > LIMIT
    assert pairwise_differences(of(RED), of(TURNED)).item() > LIMIT  # the same colours, other places


def test_appearance_tolerates_a_box_that_is_a_few_pixels_off():
    assert pairwise_differences(of(RED), of(RED, boxes=BOX + np.float32([4, -4, 3, 4]))).item() < LIMIT / 2


@pytest.mark.parametrize("light", [0.7, 1.25])
def test_appearance_tolerates_other_exposure(light):
    def lit(*people):
        return compute_appearances(np.clip(paint(*people).astype(np.float32) * light, 0, 255).astype(np.uint8), BOX)

    assert pairwise_differences(of(RED), lit(RED)).item() < LIMIT < pairwise_differences(of(RED), lit(BLUE)).item()


def test_appearance_does_not_depend_on_image_size():
    large = paint(RED).repeat(8, axis=0).repeat(8, axis=1)
    assert pairwise_differences(of(RED), compute_appearances(large, BOX * 8)).item() < 1


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (230, 150, 400, 400), (5, 5, 5, 5), (-9, -9, 999, 999), (239.5, 0, 240, 160)])
def test_boxes_at_or_beyond_the_border_have_a_finite_appearance(box):
    appearance = of(RED, boxes=np.array([box], np.float32))
    assert appearance.shape == (1, 3 * BANDS)
    assert np.isfinite(appearance).all()


def test_no_boxes_give_no_appearances():
    assert of(boxes=np.zeros((0, 4), np.float32)).shape == (0, 3 * BANDS)
    assert pairwise_differences(of(RED), of(boxes=np.zeros((0, 4), np.float32))).shape == (1, 0)


def test_the_person_whose_box_ends_lower_occludes_the_other():
    behind, before, beside = (0, 0, 40, 100), (10, 10, 50, 110), (45, 0, 85, 100)
    assert occluded_fraction(np.array([behind, before, beside], np.float32)) == pytest.approx([30 * 90 / 4000, 0, 5 * 90 / 4000])
    assert occluded_fraction(np.zeros((0, 4), np.float32)).shape == (0,)
