"""`edge-hoi zones draw` shows zones and lines over a source's first frame, and says what is wrong with them."""

import cv2
import numpy as np
import pytest

SHAPES = """
    zones:
      yard: [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
    lines:
      kerb: [[0.25, 1], [0.25, 0]]
"""


@pytest.fixture
def config(tmp_path):
    """Return a function that writes a configuration with a grey image as its source."""
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((180, 320, 3), 128, np.uint8))

    def write(shapes, name="dock"):
        path = tmp_path / "config.yaml"
        path.write_text(f"sources:\n  - url: grey.png\n    id: {name}\n{shapes}")
        return path

    return write


def test_zones_are_tinted_and_lines_drawn_over_the_first_frame(edge_hoi, config, tmp_path):
    output = tmp_path / "drawn.png"
    code, text = edge_hoi("zones", "draw", config(SHAPES), "--camera", "dock", "--output", output)
    assert (code, text) == (0, f"{output}: 1 zones and 1 lines of dock, 320x180\n")
    drawn = cv2.imread(str(output))
    assert drawn.shape == (180, 320, 3)
    assert drawn[20, 40].tolist() == drawn[100, 120].tolist() == [128, 128, 128]  # outside of everything
    assert np.ptp(drawn[20, 240]) > 10  # within the zone
    assert drawn[60, 80].tolist() != [128, 128, 128]  # on the line
    assert drawn[90, 90].tolist() != [128, 128, 128]  # on the arrow to its right-hand side
    assert drawn[90, 70].tolist() == [128, 128, 128]  # on its left-hand side there is none


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (SHAPES, ["--camera", "gate"], "there is no source 'gate'; its sources are dock"),
        ("", [], "source dock has neither `zones` nor `lines`"),
        (SHAPES.replace("[1, 0]", "[1, 2000]"), [], "config.yaml:6: sources[0].zones.yard: "),
        (SHAPES.replace("[0.25, 1]", "[20, 181]"), [], "lines.kerb: the point [20, 181] is outside of the frame of 320x180"),
    ],
    ids=["camera", "none", "invalid", "outside"],
)
def test_what_cannot_be_drawn_is_explained(edge_hoi, config, tmp_path, shapes, options, message):
    code, text = edge_hoi("zones", "draw", config(shapes), "--output", tmp_path / "drawn.png", *options)
    assert code == 2
    assert message in text
    assert not (tmp_path / "drawn.png").exists()


def test_a_source_that_is_missing_is_explained(edge_hoi, config, tmp_path):
    path = config(SHAPES)
    (tmp_path / "grey.png").unlink()
    code, text = edge_hoi("zones", "draw", path, "--output", tmp_path / "drawn.png")
    assert code == 3
    assert "grey.png" in text


def test_the_configuration_and_the_source_are_not_overwritten(edge_hoi, config, tmp_path):
    code, text = edge_hoi("zones", "draw", config(SHAPES), "--output", tmp_path / "grey.png")
    assert code == 2
    assert "would be overwritten" in text
