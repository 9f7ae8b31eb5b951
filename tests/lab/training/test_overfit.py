"""A small network memorises a few drawn images; benchmarks/overfit.py uses more of them."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")


@pytest.mark.slow
def test_training_memorises_its_images(tmp_path, monkeypatch, repository):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import overfit

    overfit.draw_images(tmp_path / "images", 2)
    course = overfit.train_on(tmp_path / "images", tmp_path / "run", epochs=100, batch_size=2)
    precision = course["evaluation/default/full"]
    assert precision[0] == 0
    assert precision[-1] >= 95
    assert course["loss"][-1] < course["loss"][0] / 20
    assert course["error/object"][-1] == 0
