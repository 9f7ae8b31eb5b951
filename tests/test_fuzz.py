"""Damaged files of every form that is read: only errors of `edge_hoi.errors` come out, never a traceback, in bounded time and memory.

Three seconds a form, always the same; ten minutes a form, other each time, and with a report:

    EDGE_HOI_FUZZ_SECONDS=600 EDGE_HOI_FUZZ_SEED=$RANDOM pytest -m slow -n 0 -s tests/test_fuzz.py
"""

import http.server
import json
import os
import random
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sample_events import make_events

from edge_hoi.config import load_config, parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.detection.clip_tokenizer import read_tokenizer
from edge_hoi.errors import EdgeHoiError
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets import open_dataset
from edge_hoi.lab.datasets.captions import read_captioned_images
from edge_hoi.lab.datasets.hico_det import read_hico_det
from edge_hoi.lab.datasets.imports import import_dataset
from edge_hoi.lab.datasets.truth import read_truth, truth_path
from edge_hoi.lab.datasets.vcoco import read_vcoco
from edge_hoi.lab.evaluation.events import predicted_episodes, read_events
from edge_hoi.masking import mask_url
from edge_hoi.media import VideoWriter, write_image
from edge_hoi.outbox import Outbox, OutboxReader, Selection
from edge_hoi.runtime import read_manifest
from edge_hoi.telemetry.memory import peak_resident_bytes
from edge_hoi.vocabulary import load_vocabulary

SECONDS = float(os.environ.get("EDGE_HOI_FUZZ_SECONDS", "3"))
SEED = os.environ.get("EDGE_HOI_FUZZ_SEED", "")
LONGEST_SECONDS, MOST_MEGABYTES = 20, 600  # of one file, and of all files of a form
TOKENS = [
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b'""', b"[]", b"{}", b"0", b"9" * 400, b"'", b'"', b"\\", b"\n", b"\t", b"- ", b": "),
    *(b"&a *a", b"!!python/object:os.system", b"${HOME}", b"\x00", b"\xff\xfe", "ß使用\u202e".encode(), b"[" * 200, b"{" * 200, b"#"),
]


VALUES = [
    *(b"null", b"true", b"0", b"-1", b"0.5", b"1e308", b"1e999", b"NaN", b"9" * 400, b'""', b"[]", b"{}", b'"x"', b'"\\ud800"'),
    *(b"[[1, 2, 3, 4]]", b'{"a": null}', b'"../../x"', b'"/dev/zero"', b'"' + b"x" * 5000 + b'"'),
]
A_VALUE = re.compile(rb"\"[^\"\n]*\"|-?\d[\d.]*|\btrue\b|\bfalse\b|\bnull\b")


def damage(content: bytes, chance: random.Random) -> bytes:
    """Replace values of a text, or cut, repeat, swap, flip or replace any parts, once to five times."""
    if chance.random() < 0.5 and (values := list(A_VALUE.finditer(content))):
        for value in sorted(chance.sample(values, min(len(values), chance.randint(1, 3))), key=re.Match.start, reverse=True):
            content = content[: value.start()] + chance.choice(VALUES) + content[value.end() :]
        return content
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


class Form(NamedTuple):
    """A form of files: a valid content, the file's name, and what reads it."""

    content: bytes
    name: str
    read: Callable[[Path], object]


def read_frames(path):
    with open_source(str(path), source_id="fuzz") as source:
        for _, _frame in zip(range(3), source, strict=False):
            pass


def read_address(path):
    """Read a source's address, as on the command line and in a configuration, without using it."""
    address = path.read_text(errors="surrogateescape").replace("\0", "")
    mask_url(address)
    parse_config({"sources": [{"url": address}]}, origin="fuzz")
    if not address.startswith(("rtsp", "http", "/dev")):
        read_frames(address)


def read_outbox(path):
    try:
        with OutboxReader(path) as reader:
            for sink in reader.sinks():
                reader.replays(sink.name, 10)
                reader.request_replay(sink.name, Selection())
            reader.dead_letters()
    finally:
        with Outbox(path) as outbox:
            outbox.register("file")
            outbox.reader().close()
        for left in path.parent.glob("*.damaged-*"):
            left.unlink()


def outbox_content(folder):
    path = folder / "outbox.sqlite"
    with Outbox(path) as outbox:
        outbox.register("file")
        outbox.put(make_events(5))
        assert outbox.flush(10)
    return path.read_bytes()


class Playlists:
    """A server of one playlist, which may be damaged, and of its segment."""

    def __init__(self, segment):
        self.playlist = b""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                is_playlist = self.path.startswith("/live.m3u8")
                content = outer.playlist if is_playlist else segment
                self.send_response(200)
                self.send_header("Content-Type", "application/vnd.apple.mpegurl" if is_playlist else "video/mp2t")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def read(self, path):
        self.playlist = path.read_bytes()
        url = f"http://127.0.0.1:{self.server.server_address[1]}/live.m3u8"
        with open_source(url, source_id="fuzz", open_timeout_seconds=1, read_timeout_seconds=1) as source:
            for _, _frame in zip(range(3), source, strict=False):
                pass


@pytest.fixture(scope="module")
def playlists(tmp_path_factory):
    path = tmp_path_factory.mktemp("segment") / "segment.mp4"
    with VideoWriter(path, 64, 48, 10) as writer:
        for number in range(10):
            writer.write(np.full((48, 64, 3), number * 20, np.uint8), number / 10)
    found = Playlists(path.read_bytes())
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The content of an image by its suffix."""
    folder = tmp_path_factory.mktemp("image")
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        image = next(iter(source)).image[::4, ::4]
    for suffix in (".png", ".jpg"):
        write_image(folder / f"image{suffix}", image)
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


BOX, OTHER = [1, 2, 30, 40], [5, 6, 20, 20]
INTERACTIONS = [
    {"human": BOX, "object": OTHER, "text": "person riding bicycle"},
    {"human": BOX, "object": None, "verb": "wear", "object_name": "helmet"},
]
COCO_BOXES = [{"bbox": BOX, "category_id": 1}, {"bbox": OTHER, "category_id": 2}]
HICO = [
    {
        "file_name": "image.png",
        "annotations": COCO_BOXES,
        "hoi_annotation": [{"subject_id": 0, "object_id": 1, "category_id": 77, "hoi_category_id": 19}],
    }
]
VCOCO = [{"file_name": "image.png", "annotations": COCO_BOXES, "hoi_annotation": [{"subject_id": 0, "object_id": -1, "category_id": 1}]}]
COCO = {
    "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}],
    "images": [{"id": 1, "file_name": "image.png", "width": 80, "height": 60}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "attributes": {}},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": OTHER, "attributes": {"interaction": "ride", "human": "1"}},
    ],
    "relations": [{"subject_id": 1, "object_id": 2, "verb": "hold"}],
}
CVAT = """<?xml version="1.0" encoding="utf-8"?><annotations><image id="0" name="image.png" width="80" height="60">
<box label="person" xtl="1" ytl="2" xbr="30" ybr="40" group_id="1"></box><box label="bicycle" xtl="5" ytl="6" xbr="20" ybr="20"
group_id="1"><attribute name="interaction">ride</attribute></box></image></annotations>"""


def label_studio_region(key, label):
    value = {"x": 5, "y": 5, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": [label]}
    return {"id": key, "type": "rectanglelabels", "original_width": 80, "original_height": 60, "image_rotation": 0, "value": value}


LABEL_STUDIO = [
    {
        "id": 1,
        "data": {"image": "/data/upload/1/image.png"},
        "annotations": [
            {
                "result": [
                    label_studio_region("a", "person"),
                    label_studio_region("b", "bicycle"),
                    {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["ride"]},
                ]
            }
        ],
    }
]
PLAYLIST = b"""#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:0
#EXTINF:1.0,
segment.mp4
#EXT-X-BYTERANGE:100@0
#EXT-X-KEY:METHOD=AES-128,URI="key.bin",IV=0x00000000000000000000000000000001
#EXTINF:1.0,
http://127.0.0.1/segment2.mp4
#EXT-X-ENDLIST
"""


def importing(form):
    def read(path):
        new = path.parent.parent / "new"
        shutil.rmtree(new, ignore_errors=True)
        import_dataset(form, path.parent, new)

    return read


def json_form(content, name, read):
    return lambda *_: Form(json.dumps(content).encode(), name, read)


def file_form(place, name, read):
    return lambda repository, *_: Form((repository / place).read_bytes(), name, read)


def events_form(repository, *_):
    event = (repository / "docs" / "events.md").read_text().partition("```json\n")[2].partition("```")[0]
    return Form((" ".join(event.split()).encode() + b"\n") * 2, "events.jsonl", lambda path: predicted_episodes(read_events(path)))


def manifest_form(repository, *_):
    engine = repository / "engines/default"

    def read(path):
        if not (path.parent / "model.onnx").exists():
            shutil.copytree(engine, path.parent, ignore=shutil.ignore_patterns("manifest.json"), dirs_exist_ok=True)
        read_manifest(path.parent)

    return Form((engine / "manifest.json").read_bytes(), "manifest.json", read)


def tokenizer_form(repository, *_):
    folder = repository / "engines/default"

    def read(path):
        read_tokenizer(path, path).encode_batch(["person riding bicycle"])

    document = json.loads((folder / "tokenizer.json").read_bytes())
    model = document["model"]  # the tokens of single characters and the special ones, so that more is tried in the time
    model |= {"vocab": {token: number for token, number in model["vocab"].items() if number < 512 or "_of_text>" in token}, "merges": []}
    return Form(json.dumps(document).encode(), "tokenizer.json", read)


def address_form(*_):
    return Form(b"rtsp://user:canary@192.0.2.1:554/cam/realmonitor?channel=1&token=canary#x", "address.txt", read_address)


FORMS = {
    "configuration": file_form("configs/several-cameras.yaml", "config.yaml", load_config),
    "default configuration": file_form("configs/default.yaml", "config.yaml", load_config),
    "vocabulary": file_form("configs/people-and-objects.yaml", "words.yaml", load_vocabulary),
    "manifest": manifest_form,
    "tokenizer": tokenizer_form,
    "ground truth": lambda *_: Form(truth_path(DEMO_CLIP).read_bytes(), "demo.truth.json", read_truth),
    "events": events_form,
    "annotations": json_form(
        {"images": [{"file": "image.png", "interactions": INTERACTIONS}]},
        "annotations.json",
        lambda path: open_dataset("custom", path.parent),
    ),
    "captions": json_form(
        {"images": [{"file": "image.png", "captions": ["a rider"], "meaning": "ride"}]},
        "captions.json",
        lambda path: read_captioned_images(path.parent),
    ),
    "HICO-DET": json_form(HICO, "trainval_hico.json", read_hico_det),
    "V-COCO": json_form(VCOCO, "test_vcoco.json", read_vcoco),
    "COCO export": json_form(COCO, "coco.json", importing("coco")),
    "CVAT export": lambda *_: Form(CVAT.encode(), "annotations.xml", importing("cvat")),
    "Label Studio export": json_form(LABEL_STUDIO, "tasks.json", importing("label-studio")),
    "YOLO export": lambda *_: Form(b"0 0.5 0.5 0.2 0.2\n1 0.4 0.4 0.1 0.1\n", "image.txt", importing("yolo")),
    "address": address_form,
    "playlist": lambda _repository, _folder, playlists, _images: Form(PLAYLIST, "live.m3u8", playlists.read),
    "outbox": lambda _repository, folder, *_: Form(outbox_content(folder), "outbox.sqlite", read_outbox),
    ".png": lambda *arguments: Form(arguments[-1][".png"], "image.png", read_frames),
    ".jpg": lambda *arguments: Form(arguments[-1][".jpg"], "image.jpg", read_frames),
}


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore")  # Pillow's about damaged files
def test_damage_is_an_error_and_no_traceback(repository, tmp_path, playlists, images, form, monkeypatch):
    monkeypatch.setenv("CAMERA_PASSWORD", "canary")
    (made := tmp_path / "made").mkdir()
    content, name, read = FORMS[form](repository, made, playlists, images)
    (folder := tmp_path / "data").mkdir()
    path, chance = folder / name, random.Random(form + SEED)
    write_image(folder / "image.png", np.zeros((60, 80, 3), np.uint8))
    (folder / "classes.txt").write_text("person\nbicycle\n")
    (folder / "image.interactions.txt").write_text("1 2 ride\n")
    path.write_bytes(content)
    read(path)
    outcomes, longest, before = {"read": 0, "refused": 0}, 0.0, peak_resident_bytes()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        damaged = damage(content, chance)
        path.write_bytes(damaged)
        started = time.monotonic()
        try:
            read(path)
            outcomes["read"] += 1
        except EdgeHoiError:
            outcomes["refused"] += 1
        except BaseException as error:
            (kept := Path(os.environ.get("TMPDIR", "/tmp")) / f"fuzz-{name}").write_bytes(damaged)
            raise AssertionError(f"{form}: {type(error).__name__}: {error}; the file is kept as {kept}") from error
        longest = max(longest, time.monotonic() - started)
    megabytes = (peak_resident_bytes() - before) >> 20
    tried = f"{outcomes['read']} read, {outcomes['refused']} refused"
    print(f"\n{form}: {tried}; the longest took {longest:.2f} s; memory grew by {megabytes} MB")  # noqa: T201 -- the report
    assert outcomes["refused"] > 0
    assert longest < LONGEST_SECONDS
    assert megabytes < MOST_MEGABYTES
