import io
import json
import math

import cv2
import numpy as np
import pytest
from rich.console import Console

from edge_hoi.errors import ConfigError, MissingDependencyError
from edge_hoi.lab.evaluation import CategoryResult, Results, check_plot, plot_categories


def make_results(count):
    random = np.random.default_rng(0)
    rows = tuple(
        CategoryResult(f"person doing action {row}", row % 9, float(random.random()), is_rare=row % 4 == 0) for row in range(count)
    )
    return Results("HICO-DET", 7, {"default": {"full": 0.34692, "rare": math.nan}, "known object": {"full": 0.3761}}, rows)


def test_the_table_is_titled_with_data_set_and_split_and_has_a_gap_without_ground_truth():
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(make_results(3).table("mine validation"))
    lines = [line.split() for line in console.export_text().replace("│", " ").splitlines()]
    assert ["mine", "validation:", "7", "images,", "HICO-DET", "protocol,", "%"] in lines
    assert ["default", "34.69", "-"] in lines
    assert ["known", "object", "37.61", "-"] in lines


def test_json_has_all_metrics_and_null_for_nan():
    form = json.loads(json.dumps(make_results(3).to_json(), allow_nan=False))
    assert form["metrics"]["default"] == {"full": 0.34692, "rare": None}
    assert [row["name"] for row in form["categories"]] == [f"person doing action {row}" for row in range(3)]
    assert form["categories"][0]["is_rare"] is True


@pytest.mark.parametrize("count", [1, 5, 600])
def test_few_and_many_categories_are_plotted(tmp_path, count):
    pytest.importorskip("matplotlib", reason="needs the extra: pip install '.[train]'")
    plot_categories(make_results(count), tmp_path / "ap.png", "mine validation")
    image = cv2.imread(str(tmp_path / "ap.png"))
    assert image.shape[1] == 1540
    usual, rare = ((image == colour).all(axis=2).sum() for colour in ((0xAA, 0x77, 0x44), (0x77, 0x66, 0xCC)))  # BGR
    assert rare > 1000
    assert usual > 1000 or count == 1  # the first category is rare


def test_plots_with_unknown_suffix_and_without_categories_are_refused(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the extra: pip install '.[train]'")
    with pytest.raises(ConfigError, match=r"suffix \.png, \.svg, \.pdf, got 'ap\.jpg'"):
        check_plot(tmp_path / "ap.jpg")
    nothing = Results("HICO-DET", 0, {}, (CategoryResult("person and dog", 0, math.nan),))
    with pytest.raises(ConfigError, match="nothing to plot"):
        plot_categories(nothing, tmp_path / "ap.png", "mine")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[train\]'"):
        check_plot(tmp_path / "ap.png")
