"""A small network learns drawn pictures by heart; benchmarks/overfit.py does it with more of them."""

import pytest

torch = pytest.importorskip("torch", reason="needs the [build] extra")


@pytest.mark.slow
def test_training_learns_its_pictures_by_heart(tmp_path, monkeypatch, repository):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import overfit

    overfit.draw_images(tmp_path / "pictures", 2)
    course = overfit.train_on(tmp_path / "pictures", tmp_path / "run", epochs=100, batch_size=2)
    precision = course["evaluation/default/full"]
    assert precision[0] == 0
    assert precision[-1] >= 95
    assert course["loss"][-1] < course["loss"][0] / 20
    assert course["error/object"][-1] == 0
