import cv2
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


def lab(*colours):
    """Convert RGB colours to L*a*b*."""
    return cv2.cvtColor(np.array([colours], np.float32) / 255, cv2.COLOR_RGB2LAB)[0]


def test_an_appearance_is_the_colours_from_head_to_foot_less_the_mean_of_the_frame():
    image = np.zeros((160, 240, 3), np.uint8)
    image[:, :120] = 80  # so that the mean is 40
    image[10:70, 20:60], image[70:130, 20:60] = (200, 30, 30), (30, 30, 60)
    upper, lower, mean = lab((200, 30, 30), (30, 30, 60), image[::3, ::3].reshape(-1, 3).mean(axis=0))
    assert mean[0] > 10
    appearance = compute_appearances(image, BOX).reshape(BANDS, 3)
    np.testing.assert_allclose(appearance, [upper - mean] * 3 + [lower - mean] * 3, atol=1e-3)


def test_a_box_like_the_mean_of_the_frame_has_an_appearance_of_zero():
    for brightness in (20, 120, 250):
        appearance = compute_appearances(np.full((160, 240, 3), brightness, np.uint8), BOX)
        np.testing.assert_allclose(appearance, 0, atol=1e-4)


def test_only_the_inner_half_of_a_box_is_used():
    image = np.pad(paint(RED), ((0, 560), (0, 0), (0, 0)))
    appearance = compute_appearances(image, BOX)
    image[:, 20:30] = image[:, 50:60] = 255  # the mean of the frame samples no column of these
    np.testing.assert_array_equal(compute_appearances(image, BOX), appearance)
    image[:, 30] = 255
    assert np.abs(compute_appearances(image, BOX) - appearance).max() > 1


def test_a_box_on_the_border_has_the_colour_of_the_pixels_at_the_border():
    image = paint(background=(0, 0, 0))
    image[-1, -1], image[0, 0] = (200, 30, 30), (30, 30, 200)
    mean = lab(image[::3, ::3].reshape(-1, 3).mean(axis=0))[0]
    beyond = np.array([[400, 400, 500, 500], [-50, -50, -10, -10]], np.float32)
    appearances = compute_appearances(image, beyond).reshape(2, BANDS, 3)
    for appearance, colour in zip(appearances, lab((200, 30, 30), (30, 30, 200)), strict=True):
        np.testing.assert_allclose(appearance, np.broadcast_to(colour - mean, (BANDS, 3)), atol=1e-3)


def test_a_box_includes_the_pixels_that_it_touches():
    image = paint(background=(0, 0, 0))
    image[10:12, 100:104] = 255  # the inner half of a box from 98.5 to 105.5 touches them and no more
    box = np.array([[98.5, 10.2, 105.5, 11.8]], np.float32)
    mean = lab(image[::3, ::3].reshape(-1, 3).mean(axis=0))[0]
    np.testing.assert_allclose(compute_appearances(image, box).reshape(BANDS, 3) + mean, [lab((255, 255, 255))[0]] * BANDS, atol=1e-3)


def test_differences_are_means_over_all_values():
    one, other = np.zeros((1, 3 * BANDS), np.float32), np.zeros((2, 3 * BANDS), np.float32)
    other[0, :9], other[1] = 4, -3
    np.testing.assert_allclose(pairwise_differences(one, other), [[2, 3]])


def test_occlusion_is_by_the_one_box_in_front_that_overlaps_most():
    behind, left, right = (0, 0, 40, 100), (-20, 0, 10, 101), (25, 0, 60, 102)
    occluded = occluded_fraction(np.array([behind, left, right], np.float32))
    assert occluded == pytest.approx([15 / 40, 0, 0])
    assert occluded_fraction(np.array([behind, behind], np.float32)).tolist() == [0, 0]  # neither is in front
