"""Damaged files of every form that is read: only errors of `edge_hoi.errors` come out, never a traceback.

`EDGE_HOI_FUZZ_SECONDS=600 pytest -m slow tests/test_fuzz.py` tries for ten minutes a form.
"""

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from edge_hoi.config import load_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import EdgeHoiError
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets import open_dataset
from edge_hoi.lab.datasets.truth import read_truth, truth_path
from edge_hoi.lab.evaluation.events import predicted_episodes, read_events
from edge_hoi.media import write_image
from edge_hoi.runtime import read_manifest
from edge_hoi.vocabulary import load_vocabulary

SECONDS = float(os.environ.get("EDGE_HOI_FUZZ_SECONDS", "6"))
TOKENS = [
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b'""', b"[]", b"{}", b"0", b"9" * 400, b"'", b'"', b"\\", b"\n", b"\t", b"- ", b": "),
    *(b"&a *a", b"!!python/object:os.system", b"${HOME}", b"\x00", b"\xff\xfe", "ß使用\u202e".encode(), b"[" * 200, b"{" * 200, b"#"),
]


def damage(content: bytes, chance: random.Random) -> bytes:
    """Cut, repeat, swap, flip or replace parts of a file, once to five times."""
    for _ in range(chance.randint(1, 5)):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + chance.choice([1, 2, 5, 20, 200]))
        part = chance.choice(
            [
                b"",
                content[start:end] * 2,
                bytes(chance.randrange(256) for _ in range(end - start)),
                chance.choice(TOKENS),
                content[(at := chance.randrange(len(content) + 1)) : at + end - start],
            ]
        )
        content = content[:start] + part + content[end:]
        if chance.random() < 0.05:
            content = content[: chance.randrange(len(content) + 1)]
    return content


def read_frames(path):
    with open_source(str(path), source_id="fuzz") as source:
        for _, _frame in zip(range(3), source, strict=False):
            pass


@pytest.fixture(scope="module")
def image_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "image.png"
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        image = next(iter(source)).image[::4, ::4]
    forms = {}
    for suffix in (".png", ".jpg"):
        write_image(path.with_suffix(suffix), image)
        forms[suffix] = path.with_suffix(suffix).read_bytes()
    return forms


def samples(repository: Path, image_bytes, form):
    """Give the content, the file's name, and what reads it."""
    if form == "configuration":
        return (repository / "configs" / "several-cameras.yaml").read_bytes(), "config.yaml", load_config
    if form == "default configuration":
        return (repository / "configs" / "default.yaml").read_bytes(), "config.yaml", load_config
    if form == "vocabulary":
        return (repository / "configs" / "people-and-objects.yaml").read_bytes(), "words.yaml", load_vocabulary
    if form == "manifest":
        return (repository / "engines/default/manifest.json").read_bytes(), "manifest.json", lambda path: read_manifest(path.parent)
    if form == "ground truth":
        return truth_path(DEMO_CLIP).read_bytes(), "demo.truth.json", read_truth
    if form == "events":
        event = (repository / "docs" / "events.md").read_text().partition("```json\n")[2].partition("```")[0]
        lines = " ".join(event.split()).encode() + b"\n"
        return lines * 2, "events.jsonl", lambda path: predicted_episodes(read_events(path))
    if form == "annotations":
        content = (
            b'{"images": [{"file": "image.png", "interactions": [{"human": [1, 2, 30, 40], "object": [5, 6, 20, 20], '
            b'"text": "person riding bicycle"}, {"human": [1, 2, 30, 40], "object": null, "verb": "wear", "object_name": "helmet"}]}]}'
        )
        return content, "annotations.json", lambda path: open_dataset("custom", path.parent)
    return image_bytes[form], f"image{form}", read_frames


FORMS = ["configuration", "default configuration", "vocabulary", "manifest", "ground truth", "events", "annotations", ".png", ".jpg"]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore")  # Pillow's about damaged files
def test_damage_is_an_error_and_no_traceback(repository, tmp_path, image_bytes, form, monkeypatch):
    monkeypatch.setenv("CAMERA_PASSWORD", "canary")
    content, name, read = samples(repository, image_bytes, form)
    path, chance = tmp_path / name, random.Random(form)
    if form == "annotations":
        write_image(tmp_path / "image.png", np.zeros((60, 80, 3), np.uint8))
    outcomes = {"read": 0, "refused": 0}
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        damaged = damage(content, chance)
        path.write_bytes(damaged)
        try:
            read(path)
            outcomes["read"] += 1
        except EdgeHoiError:
            outcomes["refused"] += 1
        except Exception as error:
            (kept := Path(os.environ.get("TMPDIR", "/tmp")) / f"fuzz-{name}").write_bytes(damaged)
            raise AssertionError(f"{form}: {type(error).__name__}: {error}; the file is kept as {kept}") from error
    assert outcomes["refused"] > 0
