"""`datasets`: missing files are listed, and a custom vocabulary is written."""

import json

import pytest

from edge_hoi.cli.lab import datasets
from edge_hoi.cli.terminal import print_error
from edge_hoi.errors import EdgeHoiError

ENTRY = {"human": [1, 1, 9, 9], "object": None, "text": "person carrying traffic cone"}


def command(*arguments):
    try:
        datasets.app(list(map(str, arguments)))
    except EdgeHoiError as error:
        print_error(str(error))
        return error.exit_code
    except SystemExit as ended:
        return ended.code
    raise AssertionError("a command ends the process")


@pytest.fixture
def yard(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs the extra: pip install '.[build]'")
    image.new("RGB", (20, 10)).save(tmp_path / "a.jpg")
    (tmp_path / "annotations.json").write_text(json.dumps({"images": [{"file": "a.jpg", "interactions": [ENTRY]}]}))
    return tmp_path


def test_check_reports_a_complete_data_set(yard, capsys):
    assert command("check", "custom", "--data", yard) == 0
    shown = capsys.readouterr().out
    assert "1 images, 1 interactions, 1 annotated categories, 1 categories" in shown
    assert "complete" in shown
    assert shown.startswith(f"{yard.name}: ")
    assert command("check", "custom", "--data", yard, "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["problems"] == []
    assert (report["dataset"], report["split"]) == (yard.name, None)
    assert report["counts"]["images"] == 1


def test_check_of_a_missing_data_set_says_where_to_get_it(tmp_path, capsys):
    assert command("check", "hico_det", "--data", tmp_path) == 1
    shown = capsys.readouterr().out
    assert "annotations/trainval_hico.json" in shown
    assert "https://github.com/Artanic30/HOICLIP" in shown
    assert "hico_det train: not usable" in shown
    assert "hico_det test: not usable" in shown
    assert command("check", "hico_det", "--data", tmp_path / "nowhere") == 2
    assert command("check", "hico", "--data", tmp_path) == 2
    assert "did you mean 'hico_det'" in capsys.readouterr().err


def test_check_names_the_invalid_entry_of_a_custom_data_set(yard, capsys):
    (yard / "annotations.json").write_text(json.dumps({"images": [{"file": "a.jpg", "interactions": [ENTRY | {"human": [1, 1, 90, 9]}]}]}))
    assert command("check", "custom", "--data", yard) == 1
    assert "annotations.json, image 1 (a.jpg), interaction 1: human box [1, 1, 90, 9] exceeds the image" in capsys.readouterr().out


def test_vocabulary_is_written_once(yard, capsys):
    assert command("vocabulary", yard) == 0
    assert (yard / "vocabulary.yaml").read_text() == "- person carrying traffic cone\n"
    assert "vocabulary.yaml: 1 categories" in capsys.readouterr().out
    assert command("vocabulary", yard) == 2
    assert "File exists" in capsys.readouterr().err


def test_an_export_is_imported_split_and_checked(tmp_path, capsys, monkeypatch, repository):
    pytest.importorskip("PIL", reason="needs the extra: pip install '.[build]'")
    monkeypatch.syspath_prepend(str(repository / "tests" / "lab" / "datasets"))
    import exports

    yard, export = tmp_path / "yard", exports.cvat(tmp_path)
    assert command("import", "cvat", export, "--output", yard) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{yard}: 2 images, 1 interactions, 1 categories\n"
    assert "not imported: 1 x polygon" in shown.err
    assert command("import", "cvat", export, "--output", yard) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert command("import", "voc", export, "--output", yard) == 2
    assert command("split", yard, "--fraction", "0.5") == 0
    shown = capsys.readouterr()
    assert f"{yard}-train: 1 images" in shown.out
    assert f"{yard}-test: 1 images" in shown.out
    assert shown.out.count("1 categories") == 2
    for part in ("train", "test"):
        assert command("check", "custom", "--data", f"{yard}-{part}") == 0
    assert command("split", yard) == 2
    assert "of 2 images leaves a part without images" in capsys.readouterr().err
