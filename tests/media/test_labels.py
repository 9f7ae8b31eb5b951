import itertools

import numpy as np
import pytest

from edge_hoi.media.canvas import Area, Canvas
from edge_hoi.media.labels import Label, Row, draw_label, place

BOUNDS = (320, 192)


def overlaps(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize(
    "box", [(x, y, x + 40, y + 60) for x, y in itertools.product((-30, 0, 140, 280, 310), (-50, 0, 66, 132, 185))] + [(0, 0, 320, 192)]
)
def test_label_stays_in_the_image_for_any_box(box: tuple[int, int, int, int]) -> None:
    occupied: list[Area] = []
    for _ in range(6):
        area = place((110, 28), np.array(box, np.float32), occupied, [box], BOUNDS)
        assert (area[2] - area[0], area[3] - area[1]) == (110, 28)
        assert area[0] >= 0
        assert area[1] >= 0
        assert area[2] <= BOUNDS[0]
        assert area[3] <= BOUNDS[1]
        occupied.append(area)


def test_label_is_above_its_box_if_there_is_room() -> None:
    assert place((100, 20), np.array([50, 80, 90, 150], np.float32), [], [(50, 80, 90, 150)], BOUNDS) == (50, 60, 150, 80)


def test_label_of_a_box_at_the_upper_edge_goes_beside_it_and_not_over_it() -> None:
    box = (50, 0, 90, 100)
    area = place((100, 20), np.array(box, np.float32), [], [box], BOUNDS)
    assert not overlaps(area, box)


def test_labels_of_one_place_do_not_overlap() -> None:
    box, occupied = (140, 60, 180, 130), []
    for _ in range(6):
        occupied.append(place((90, 20), np.array(box, np.float32), occupied, [], BOUNDS))
    assert not any(overlaps(a, b) for a, b in itertools.combinations(occupied, 2))


def test_label_overlaps_a_person_rather_than_another_label() -> None:
    crowd = (0, 0, 320, 192)
    first = place((90, 20), np.array([140, 60, 180, 130], np.float32), [], [crowd], BOUNDS)
    second = place((90, 20), np.array([140, 60, 180, 130], np.float32), [first], [crowd], BOUNDS)
    assert not overlaps(first, second)


def test_long_text_is_shortened_so_that_the_label_fits() -> None:
    canvas = Canvas(np.zeros((192, 320, 3), np.uint8), reference=192)
    occupied: list[Area] = []
    draw_label(
        canvas, Label("#3", (Row("balancing on " * 20, 0.5),), (86, 180, 233)), np.array([300, 100, 318, 150], np.float32), occupied, []
    )
    assert occupied[0][0] >= 0
    assert 250 < occupied[0][2] - occupied[0][0] <= 320


def test_shorten_keeps_text_that_fits_and_marks_truncation() -> None:
    canvas = Canvas(np.zeros((192, 320, 3), np.uint8), reference=192)
    assert canvas.shorten("riding bicycle", 1000) == "riding bicycle"
    cut = canvas.shorten("riding bicycle", canvas.text_width("riding bicycle") - 10)
    assert cut.endswith("...")
    assert cut[:6] == "riding"
    assert canvas.shorten("riding bicycle", 0) == ""
