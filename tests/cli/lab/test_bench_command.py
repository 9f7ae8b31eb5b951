"""`bench`: tables, JSON and a plot of the embedded engine; invalid options are refused."""

import importlib.util
import json

import pytest


@pytest.mark.slow
def test_without_arguments_the_embedded_engine_is_measured(edge_hoi, tmp_path):
    plot = ["--plot", tmp_path / "speed.svg"] if importlib.util.find_spec("matplotlib") else []
    options = ["--no-eager", "--rounds", 1, "--batch", 1, "--size", "64x96"]
    code, printed = edge_hoi("bench", *options, "--json", tmp_path / "speed.json", *plot)
    assert code == 0, printed
    for shown in ("logical cores", "openvino", "images/s", "postprocess", "peak MB", "threads"):
        assert shown in printed, shown
    report = json.loads((tmp_path / "speed.json").read_text())
    assert [engine["name"] for engine in report["engines"]] == ["default"]
    assert report["engines"][0]["input_size"] == [64, 96]
    assert report["settings"]["rounds"] == 1
    if plot:
        assert "<svg" in (tmp_path / "speed.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["defalt"], 4, "did you mean 'default'?"),
        (["--size", "large"], 2, "--size is HEIGHTxWIDTH"),
        (["--source", "no-such.mp4"], 3, "no-such.mp4"),
        (["--json", "no/such/folder/speed.json"], 2, "there is no folder"),
    ],
)
def test_invalid_options_are_refused_before_any_work(edge_hoi, arguments, code, words):
    ended, printed = edge_hoi("bench", "--no-eager", *arguments)
    assert ended == code
    assert words in printed
