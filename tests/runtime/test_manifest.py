import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_hoi.errors import ManifestError
from edge_hoi.events import EpisodeSettings
from edge_hoi.hashing import sha256_of_file
from edge_hoi.runtime import TextTower, fake_manifest, read_manifest, write_manifest
from edge_hoi.runtime.manifest import model_path
from edge_hoi.runtime.plan import Plan


def rewrite(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_is_read_back(tmp_path):
    (tmp_path / "classifiers").mkdir()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    files = {"classifiers/größe.safetensors": empty, "text.onnx": empty, "tokenizer.json": empty}
    for path in files:
        (tmp_path / path).touch()
    manifest = fake_manifest(
        files=files,
        classifiers={"größe": "classifiers/größe.safetensors"},
        default_vocabulary="größe",
        text_tower=TextTower(path="text.onnx", tokenizer="tokenizer.json", context_length=77),
        architecture={"layers": 6, "nested": {"widths": [1, 2.5, None]}},
    )
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_writing_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path):
    write_manifest(tmp_path, fake_manifest(tools={"b": "2", "a": "1"}))
    first = (tmp_path / "manifest.json").read_bytes()
    write_manifest(tmp_path, fake_manifest(tools={"a": "1", "b": "2"}))
    assert (tmp_path / "manifest.json").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"not an engine's folder.*No such file.*name a folder made by `edge-hoi build`"):
        read_manifest(tmp_path)
    with pytest.raises(ManifestError, match="not an engine's folder"):
        read_manifest(tmp_path / "nowhere")


def test_a_changed_file_is_refused_by_name_and_both_hashes(engine_folder):
    expected = read_manifest(engine_folder).files["model.onnx"]
    (engine_folder / "model.onnx").write_bytes(b"another model")
    with pytest.raises(
        ManifestError, match=rf"model\.onnx differs .*expected sha256 {expected}, got [0-9a-f]{{64}}; copy it again or build"
    ):
        read_manifest(engine_folder)
    assert read_manifest(engine_folder, verify=False).files["model.onnx"] == expected


def test_a_missing_file_is_refused_by_name(engine_folder):
    (engine_folder / "model.onnx").unlink()
    with pytest.raises(
        ManifestError, match=r"model\.onnx is listed in the manifest and cannot be read \(No such file.*copy it again or build"
    ):
        read_manifest(engine_folder)


@pytest.mark.parametrize("version", [2, 0, "1", None, [1]])
def test_an_unknown_format_version_is_reported_before_anything_else(engine_folder, version):
    rewrite(engine_folder, format_version=version, key_of_the_future=1, name=3)
    with pytest.raises(ManifestError, match=r"format_version .* and this edge-hoi reads 1; update edge-hoi"):
        read_manifest(engine_folder)


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "..", "", ".", "./x", "a//b", "C:/x", "..\\x", "\\\\host\\x", "x\0y", "a/", "//x"]
)
def test_a_path_outside_the_folder_is_refused(engine_folder, path):
    rewrite(engine_folder, files={path: "0" * 64})
    with pytest.raises(ManifestError, match="is not a plain path inside the engine's folder"):
        read_manifest(engine_folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surplus": 1}, "surplus: Extra inputs are not permitted"),
        ({"name": None}, "name: Input should be a valid string"),
        ({"num_queries": 0}, "num_queries: "),
        ({"num_queries": "64"}, "num_queries: "),
        ({"weights_sha256": "A" * 64}, "weights_sha256: "),
        ({"input": {}}, r"input\.stride: Field required \(and 7 more\)"),
        ({"classifiers": {"hico_det": "c.safetensors"}, "default_vocabulary": "hico_det"}, "'c.safetensors' is named but has no hash"),
        ({"classifiers": {"hico_det": "model.onnx"}}, "`default_vocabulary` is required if, and only if"),
        ({"default_vocabulary": "hico_det"}, "`default_vocabulary` is required if, and only if"),
        ({"classifiers": {"hico_det": "model.onnx"}, "default_vocabulary": "vcoco"}, "'vcoco' is none of the classifiers: hico_det"),
    ],
)
def test_invalid_fields_are_named(engine_folder, changes, message):
    rewrite(engine_folder, **changes)
    with pytest.raises(ManifestError, match=rf"{message}.*; build the engine again") as caught:
        read_manifest(engine_folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"name": "\xff"}', b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b"\0"]
)
def test_hostile_json_is_refused_in_one_line(engine_folder, text):
    (engine_folder / "manifest.json").write_bytes(text)
    with pytest.raises(ManifestError, match="is invalid") as caught:
        read_manifest(engine_folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_nan_is_refused(engine_folder):
    description = json.loads((engine_folder / "manifest.json").read_text())["input"]
    rewrite(engine_folder, input=description | {"image_mean": [float("nan"), 0.5, 0.5]})
    with pytest.raises(ManifestError, match="finite number"):
        read_manifest(engine_folder)


@given(st.text(max_size=30))
def test_no_accepted_path_leaves_the_folder(tmp_path_factory, path):
    try:
        fake_manifest(files={path: "0" * 64})
    except ValidationError:
        return
    folder = tmp_path_factory.getbasetemp()
    assert (folder / path).resolve().is_relative_to(folder.resolve())


def make_plan(**changes):
    fields = {"backend": "tensorrt", "version": "10.3", "compute_capabilities": ("8.6",), "height": 96, "width": 160, "max_batch": 1}
    return Plan(**fields | changes)


def test_a_plan_that_is_not_listed_among_the_files_is_refused(tmp_path):
    plan, other = make_plan(), make_plan(max_batch=2)
    with pytest.raises(ValidationError, match=rf"'{plan.path}' is named but has no hash in `files`"):
        fake_manifest(plans=(plan,))
    with pytest.raises(ValidationError, match=rf"'{other.path}' is named but has no hash"):
        fake_manifest(plans=(plan, other), files={plan.path: "0" * 64})
    assert fake_manifest(plans=(plan,), files={plan.path: "0" * 64}).plans == (plan,)


def test_a_plan_whose_file_was_changed_or_is_missing_is_refused(tmp_path):
    plan = make_plan()
    path = tmp_path / plan.path
    path.parent.mkdir()
    path.write_bytes(b"plan")
    write_manifest(tmp_path, fake_manifest(plans=(plan,), files={plan.path: sha256_of_file(path)}))
    assert read_manifest(tmp_path).plans == (plan,)
    path.write_bytes(b"another plan")
    with pytest.raises(ManifestError, match=r"\.plan differs from its manifest"):
        read_manifest(tmp_path)
    path.unlink()
    with pytest.raises(ManifestError, match=r"\.plan is listed in the manifest and cannot be read"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("missing", ["text.onnx", "tokenizer.json"])
def test_each_file_of_the_text_tower_has_a_hash(missing):
    tower = TextTower(path="text.onnx", tokenizer="tokenizer.json", context_length=77)
    files = dict.fromkeys(["text.onnx", "tokenizer.json"], "0" * 64)
    assert fake_manifest(text_tower=tower, files=files).text_tower == tower
    del files[missing]
    with pytest.raises(ValidationError, match=rf"'{missing}' is named but has no hash"):
        fake_manifest(text_tower=tower, files=files)


@pytest.mark.parametrize("missing", ["a.safetensors", "b.safetensors"])
def test_each_classifier_has_a_hash(missing):
    files = {name: "0" * 64 for name in ("a.safetensors", "b.safetensors") if name != missing}
    with pytest.raises(ValidationError, match=rf"'{missing}' is named but has no hash"):
        fake_manifest(classifiers={"a": "a.safetensors", "b": "b.safetensors"}, default_vocabulary="a", files=files)


def test_the_path_of_a_network_needs_it_to_be_listed(tmp_path):
    manifest = fake_manifest(files={"model.onnx": "0" * 64})
    assert model_path(tmp_path, manifest) == tmp_path / "model.onnx"
    with pytest.raises(ManifestError, match=r"is a fake engine and has no weights\.safetensors; build one"):
        model_path(tmp_path, manifest, "weights.safetensors")
    with pytest.raises(ManifestError, match=r"has no model\.onnx"):
        model_path(tmp_path, fake_manifest())


def test_recommended_episode_settings_are_written_as_they_were_set(tmp_path):
    write_manifest(tmp_path, fake_manifest(episodes=EpisodeSettings(enter=0.7)))
    assert json.loads((tmp_path / "manifest.json").read_text())["episodes"] == {"enter": 0.7}
    assert read_manifest(tmp_path).episodes == EpisodeSettings(enter=0.7)
    write_manifest(tmp_path, fake_manifest())
    assert json.loads((tmp_path / "manifest.json").read_text())["episodes"] is None


def with_input(**changes):
    return fake_manifest().input.model_dump() | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": with_input(height=32_000_000, width=32_000_000)}, "input.height: Input should be less than or equal to 65536"),
        ({"input": with_input(height=4320, width=7712)}, "input: Value error, an image has at most 33177600 pixels"),
        ({"input": with_input(stride=1, height=256, width=257)}, "at most 33177600 pixels, and 65536 cells of the stride's size"),
        ({"input": with_input(clip_size=1 << 17)}, "input.clip_size: "),
        ({"num_queries": 1 << 40}, "num_queries: "),
        ({"embedding_size": 1 << 17}, "embedding_size: "),
        ({"text_tower": {"path": "text.onnx", "tokenizer": "text.onnx", "context_length": 1 << 17}}, "text_tower.context_length: "),
    ],
)
def test_sizes_beyond_any_network_s_are_refused(engine_folder, changes, message):
    rewrite(engine_folder, **changes)
    with pytest.raises(ManifestError, match=re.escape(message)):
        read_manifest(engine_folder)


def test_the_largest_sizes_are_read(engine_folder):
    for changes in (
        with_input(height=4320, width=7680),
        with_input(stride=1, height=256, width=256),
        with_input(stride=None, clip_size=1 << 16),
    ):
        rewrite(engine_folder, input=changes, num_queries=1 << 16, embedding_size=1 << 16)
        assert read_manifest(engine_folder).num_queries == 1 << 16


def test_the_manifest_itself_is_a_regular_file_of_at_most_a_mebibyte(engine_folder):
    path = engine_folder / "manifest.json"
    text = path.read_text()
    path.write_text(text + " " * ((1 << 20) - len(text.encode())))
    read_manifest(engine_folder)
    path.write_text(path.read_text() + " ")
    with pytest.raises(ManifestError, match=r"cannot read .*manifest\.json \(larger than 1 MiB\)"):
        read_manifest(engine_folder)
    os.truncate(path, 300 << 20)
    with pytest.raises(ManifestError, match="larger than 1 MiB"):
        read_manifest(engine_folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ManifestError, match="no regular file, but a pipe, socket or device"):
        read_manifest(engine_folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(ManifestError, match="no regular file, but a pipe, socket or device"):
        read_manifest(engine_folder)
