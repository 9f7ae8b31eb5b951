"""Metrics equal to the published implementations', and files of the same form with other contents."""

import importlib.util
import sys
from dataclasses import dataclass

import numpy as np
import pytest

REFERENCES = ("evaluator_hico", "evaluator_vcoco", "vcoco_role_ap")


@dataclass(frozen=True)
class Outcome:
    returncode: int
    stdout: str


@pytest.fixture
def compare(repository, monkeypatch, capsys):
    """Return a function that runs the script on a file."""
    specification = importlib.util.spec_from_file_location("reference_evaluator", repository / "benchmarks" / "reference_evaluator.py")
    script = importlib.util.module_from_spec(specification)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "reference_evaluator", script)
    specification.loader.exec_module(script)

    def run(path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["reference_evaluator.py", str(path)])
        return Outcome(script.main(), capsys.readouterr().out)

    return run


def read(path):
    with np.load(path) as archive:
        return dict(archive)


@pytest.mark.parametrize("name", REFERENCES)
def test_metrics_equal_those_of_the_published_implementations(compare, shared_data, name):
    result = compare(shared_data / "reference" / f"{name}.npz")
    assert result.returncode == 0, result.stdout
    assert result.stdout.endswith("PASS\n")


@pytest.mark.parametrize("name", REFERENCES)
def test_a_metric_that_differs_is_named_and_fails(compare, shared_data, tmp_path, name):
    arrays = read(shared_data / "reference" / f"{name}.npz")
    figure = [key for key in arrays if key.startswith("expected/")][-1]
    arrays[figure] = arrays[figure] + 1e-4
    np.savez(tmp_path / "other.npz", **arrays)
    result = compare(tmp_path / "other.npz")
    assert result.returncode == 1
    (failed,) = [line for line in result.stdout.splitlines() if line.endswith("  FAIL")]
    assert failed.startswith(figure.removeprefix("expected/"))


def test_an_image_without_ground_truth_or_predictions_changes_no_metric(compare, shared_data, tmp_path):
    for name in ("evaluator_hico", "evaluator_vcoco"):
        arrays = read(shared_data / "reference" / f"{name}.npz")
        empty = {key.replace("0/", "60/", 1): array[:0] for key, array in arrays.items() if key.startswith("0/")}
        predictions = ("human", "object", "hoi_scores", "object_scores")
        none_kept = {key: array for key, array in empty.items() if not key.endswith(predictions)}
        np.savez(tmp_path / f"{name}.npz", **arrays, **empty, **{key.replace("60/", "61/"): array for key, array in none_kept.items()})
        assert compare(tmp_path / f"{name}.npz").returncode == 0, name


def test_an_unknown_number_of_categories_is_reported(compare, shared_data, tmp_path):
    arrays = read(shared_data / "reference" / "evaluator_hico.npz")
    for key, array in arrays.items():
        if key.endswith("/hoi_scores"):
            arrays[key] = np.pad(array, ((0, 0), (0, 1)))
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(SystemExit, match="expected scores of 600 or 263 categories, got 601"):
        compare(tmp_path / "other.npz")
