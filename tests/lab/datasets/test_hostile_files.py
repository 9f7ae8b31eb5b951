"""Data sets of strangers: what is no regular file, has no end, or takes far more memory than disk."""

import gzip
import json
import os
import time

import exports
import numpy as np
import pytest
from annotation_files import published_hico, published_vcoco, write_image, write_json
from peak_memory import run_measured

from edge_hoi.errors import DatasetError, EdgeHoiError
from edge_hoi.lab.datasets import read_correspondence
from edge_hoi.lab.datasets.captions import read_captioned_images
from edge_hoi.lab.datasets.custom import read_custom, read_zero_shot
from edge_hoi.lab.datasets.files import MAX_BYTES, MAX_VALUES, read_json
from edge_hoi.lab.datasets.hico_det import read_hico_det
from edge_hoi.lab.datasets.imports import import_dataset
from edge_hoi.lab.datasets.sized_annotations import read_sized_annotations
from edge_hoi.lab.datasets.split import split_dataset
from edge_hoi.lab.datasets.truth import read_truth
from edge_hoi.lab.datasets.vcoco import read_vcoco
from edge_hoi.lab.evaluation.events import read_events
from edge_hoi.vocabulary import load_vocabulary

VCOCO = load_vocabulary("vcoco")


def custom(folder):
    """Write a data set of one image, and return its annotations."""
    write_image(folder / "a.jpg")
    interaction = {"human": [1, 2, 30, 40], "object": [5, 6, 20, 20], "text": "person riding bicycle"}
    (folder / "vocabulary.yaml").write_text("- person riding bicycle")
    (folder / "zero_shot.yaml").write_text("new: [person riding bicycle]")
    write_json(folder / "captions.json", {"images": [{"file": "a.jpg", "captions": ["a rider"], "meaning": "ride"}]})
    return write_json(folder / "annotations.json", {"images": [{"file": "a.jpg", "interactions": [interaction]}]})


def importing(form):
    return lambda folder: import_dataset(form, folder, folder.parent / "new")


def custom_file(name, read):
    return lambda folder: (custom(folder), folder / name)[1], read


def export_file(case, pattern="*"):
    form, write = exports.EXPORTS[case]
    return lambda folder: (write(folder), next(path for path in sorted(folder.rglob(pattern)) if path.is_file()))[1], importing(form)


def single(name, content, read):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write, lambda folder: read(folder / name)


READERS = {
    "annotations": custom_file("annotations.json", read_custom),
    "vocabulary": custom_file("vocabulary.yaml", lambda folder: load_vocabulary(folder / "vocabulary.yaml")),
    "zero-shot splits": custom_file("zero_shot.yaml", lambda folder: read_zero_shot(folder, "new", read_custom(folder).vocabulary)),
    "captions": custom_file("captions.json", read_captioned_images),
    "HICO-DET": single("a.json", json.dumps(published_hico()).encode(), read_hico_det),
    "V-COCO": single("a.json", json.dumps(published_vcoco()).encode(), read_vcoco),
    "correspondence": single("a.npy", b"x", lambda path: read_correspondence(path, VCOCO)),
    "ground truth": single("a.truth.json", b"{}", read_truth),
    "events": single("a.jsonl", b"{}", read_events),
    "COCO export": export_file("coco", "*.json"),
    "CVAT export": export_file("cvat", "*.xml"),
    "Label Studio export": export_file("label-studio", "*.json"),
    "YOLO names": export_file("yolo", "*.yaml"),
    "YOLO boxes": export_file("yolo", "*street.txt"),
    "YOLO interactions": export_file("yolo", "*.interactions.txt"),
}
COUNTS_AS_MISSING = {
    "YOLO names": "with the names of the classes, found none",
    "YOLO boxes": "no box is labelled person",
    "YOLO interactions": "no interactions",
}
"""What is said where another kind of file is taken for none."""


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_and_a_device_are_refused_at_once(tmp_path, reader, kind):
    write, read = READERS[reader]
    (folder := tmp_path / "data").mkdir()
    path = write(folder)
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    started = time.monotonic()
    with pytest.raises(EdgeHoiError, match=COUNTS_AS_MISSING.get(reader, "no regular file, but a pipe, socket or device")):
        read(folder)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_gigabytes_is_refused_without_reading_it(tmp_path, reader):
    write, read = READERS[reader]
    (folder := tmp_path / "data").mkdir()
    path = write(folder)
    os.truncate(path, 5 << 30)  # takes no space
    started = time.monotonic()
    with pytest.raises(EdgeHoiError, match=r"larger than (128 MiB|256 KiB|1 MiB)"):
        read(folder)
    assert time.monotonic() - started < 5


def test_a_pipe_in_the_place_of_an_image_is_no_image(tmp_path):
    path = custom(tmp_path)
    (tmp_path / "a.jpg").unlink()
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(DatasetError, match="there is no such file"):
        read_custom(path.parent)


@pytest.mark.parametrize(("limit", "is_read"), [(11, True), (10, False)])
def test_values_are_counted_before_they_are_built(tmp_path, monkeypatch, limit, is_read):
    monkeypatch.setattr("edge_hoi.lab.datasets.files.MAX_VALUES", limit)
    path = tmp_path / "a.json"
    path.write_text("[[],[],[],[],[],0]")  # six brackets and five commas
    if is_read:
        assert read_json(path) == [[], [], [], [], [], 0]
        return
    with pytest.raises(DatasetError, match=r"a\.json: expected at most 10 values, this file has more"):
        read_json(path)


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\udfffb"', '"\\udc00\\ud800"'])
def test_half_a_character_is_no_text(tmp_path, text):
    (tmp_path / "a.json").write_text(f'{{"a": {text}}}')
    with pytest.raises(DatasetError, match=r"a\.json: not JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.jsonl").write_text(f'{{"a": {text}}}\n')
    with pytest.raises(DatasetError, match=r"a\.jsonl, line 1: expected an event as JSON"):
        read_events(tmp_path / "a.jsonl")


def test_characters_escaped_in_two_halves_are_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": "\\ud83d\\ude00"}')
    assert read_json(tmp_path / "a.json") == {"a": "\U0001f600"}


def test_a_small_file_of_many_values_takes_little_memory(tmp_path):
    path = tmp_path / "annotations.json"
    path.write_bytes(b"[" + b"[]," * (MAX_BYTES // 3 - 1) + b"0]")  # 3 GB when it is built
    code = """
import sys
from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import read_json
from pathlib import Path
try:
    read_json(Path(sys.argv[1]))
except DatasetError as error:
    print(error)
"""
    output, peak = run_measured(code, path)
    assert output.endswith(f"expected at most {MAX_VALUES} values, this file has more; is it the right file?\n")
    assert peak < 400


def test_a_compressed_file_that_expands_is_refused(tmp_path):
    path = tmp_path / "pairs.json.gz"
    path.write_bytes(gzip.compress(b"[" + b"[]," * (MAX_VALUES // 2) + b"0]", 1))
    assert path.stat().st_size < 200_000
    with pytest.raises(DatasetError, match=f"expected at most {MAX_VALUES} values"):
        read_sized_annotations(path)
    path.write_bytes(gzip.compress(b" " * (MAX_BYTES + 1), 1))
    with pytest.raises(DatasetError, match="expected annotations of at most 128 MiB"):
        read_sized_annotations(path)


def test_an_export_of_many_tags_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_hoi.lab.datasets.imports.cvat._MAX_TAGS", 10)
    exports.cvat(tmp_path)
    with pytest.raises(DatasetError, match="at most 10 tags, without entities"):
        import_dataset("cvat", tmp_path, tmp_path / "new")


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/hostname", "a/../../b.jpg", "..", ".", "", "a\\b.jpg", "a\0.jpg", None, 3, ["a.jpg"]])
@pytest.mark.parametrize("reader", ["annotations", "captions", "HICO-DET", "V-COCO", "COCO export"])
def test_no_name_leads_out_of_the_folder(tmp_path, reader, name):
    (folder := tmp_path / "data").mkdir()
    write_image(tmp_path / "a.jpg")
    write, read = READERS[reader]
    path = write(folder)
    content = json.loads(path.read_text())
    images = content if isinstance(content, list) else content["images"]
    images[0]["file" if "file" in images[0] else "file_name"] = name
    write_json(path, content)
    with pytest.raises(DatasetError, match="expected an image's file name within the data set's folder"):
        read(folder)


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 62, 2), (2**31, 2**31)])
def test_a_matrix_that_declares_any_size_is_refused(tmp_path, shape):
    path = tmp_path / "corre_vcoco.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with pytest.raises(DatasetError, match="make it as the published recipe does"):
        read_correspondence(path, VCOCO)


@pytest.mark.parametrize("values", ["text", "dates", "records", "objects"])
def test_a_matrix_of_other_values_than_numbers_is_refused(tmp_path, values):
    shape = (len(VCOCO.verbs), len(VCOCO.objects) - 1)
    kinds = {"text": "<U3", "dates": "<M8[s]", "records": [("a", "<f4")], "objects": object}
    np.save(tmp_path / "corre_vcoco.npy", np.zeros(shape, kinds[values]), allow_pickle=True)
    with pytest.raises(DatasetError, match="make it as the published recipe does"):
        read_correspondence(tmp_path / "corre_vcoco.npy", VCOCO)


def test_what_a_split_copies_is_bounded_too(tmp_path):
    custom(tmp_path)
    image = {"file": "b.jpg", "interactions": []}
    write_image(tmp_path / "b.jpg", seed=1)
    content = json.loads((tmp_path / "annotations.json").read_text())
    write_json(tmp_path / "annotations.json", {"images": [*content["images"], image]})
    os.truncate(tmp_path / "zero_shot.yaml", 5 << 30)
    with pytest.raises(DatasetError, match=r"zero_shot\.yaml: larger than 256 KiB"):
        split_dataset(tmp_path, tmp_path / "train", tmp_path / "test", fraction=0.5)
    assert not (tmp_path / "train").exists()
