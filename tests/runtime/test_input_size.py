import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_hoi.errors import EngineError
from edge_hoi.runtime import choose_input_size, fake_manifest

NOMINAL = fake_manifest().input.model_copy(update={"height": 384, "width": 672})


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ((1920, 1080), (384, 672)),
        ((1280, 720), (384, 672)),
        ((672, 384), (384, 672)),
        ((640, 480), (448, 608)),
        ((1080, 1920), (672, 384)),
        ((1000, 1000), (512, 512)),
    ],
)
def test_common_frame_sizes_get_the_expected_input_size(frame, expected):
    assert choose_input_size(*frame, NOMINAL) == expected


@pytest.mark.parametrize("frame", [(1920, 1080), (480, 270), (1, 4000)])
def test_an_engine_of_one_size_gets_it_for_every_frame(frame):
    assert choose_input_size(*frame, NOMINAL.model_copy(update={"stride": None})) == (384, 672)


@given(st.integers(1, 8000), st.integers(1, 8000))
def test_size_is_a_multiple_of_the_stride_near_the_nominal_area(width, height):
    rows, columns = choose_input_size(width, height, NOMINAL)
    assert rows % 32 == columns % 32 == 0
    assert 0.5 <= rows * columns / (384 * 672) <= 1.5


@given(st.integers(240, 4320), st.floats(1 / 2.4, 2.4))
def test_common_aspect_ratios_are_kept_within_a_few_percent(height, aspect):
    width = round(height * aspect)
    rows, columns = choose_input_size(width, height, NOMINAL)
    assert abs(math.log(columns / rows) - math.log(width / height)) < 0.05
    assert 0.8 < rows * columns / (384 * 672) < 1.25


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_a_transposed_frame_gets_the_transposed_size(width, height):
    if width != height:
        assert choose_input_size(width, height, NOMINAL) == choose_input_size(height, width, NOMINAL)[::-1]


@given(st.integers(1, 20), st.integers(1, 20))
def test_frames_of_the_nominal_size_are_not_resized(rows, columns):
    nominal = NOMINAL.model_copy(update={"height": rows * 32, "width": columns * 32})
    assert choose_input_size(columns * 32, rows * 32, nominal) == (rows * 32, columns * 32)


def test_one_cell_is_enough():
    assert choose_input_size(1920, 1080, NOMINAL.model_copy(update={"height": 32, "width": 32})) == (32, 32)


@pytest.mark.parametrize("frame", [(0, 480), (640, 0), (-640, 480)])
def test_a_frame_without_area_is_refused(frame):
    with pytest.raises(EngineError, match="at least 1 pixel"):
        choose_input_size(*frame, NOMINAL)
