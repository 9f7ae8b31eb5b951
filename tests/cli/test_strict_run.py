"""Counts of what could not be read, in the summary of a run, and `--strict`."""

import random
import re

import numpy as np
import PIL.Image
import pytest

from edge_hoi.cli import main
from edge_hoi.cli.display import clock_time
from edge_hoi.demo import DEMO_CLIP


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["run", *map(str, arguments)])
    return ended.value.code, capsys.readouterr().err


def counts(text, name):
    """Return the numbers of a camera's row in the summary: frames, skipped, corrupt, unreadable."""
    row = [line for line in text.splitlines() if re.match(rf"{name}\s+\d", line)][-1]
    return [int(number) for number in row.split()[1:5]]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        PIL.Image.fromarray(np.full((120, 160, 3), 40 * number, np.uint8)).save(folder / f"{number}.jpg")
    return folder


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--strict"], 9)])
def test_unreadable_images_are_counted_and_strict_fails(capsys, tmp_path, photos, options, code):
    for name in ("1a.jpg", "1b.png", "9.webp"):
        (photos / name).write_text("not an image")
    ended, text = run(capsys, "--source", photos, "--events", tmp_path / "e.jsonl", *options)
    assert ended == code
    assert counts(text, "photos") == [3, 0, 0, 3]
    assert ("photos: not read in full (3 unreadable, 0 corrupt); check the source" in text) == bool(options)


def test_strict_is_no_failure_where_all_was_read(capsys, tmp_path, photos):
    ended, text = run(capsys, "--source", photos, "--events", tmp_path / "e.jsonl", "--strict")
    assert ended == 0, text
    assert counts(text, "photos") == [3, 0, 0, 0]


@pytest.mark.slow
def test_frames_that_cannot_be_decoded_are_counted_and_strict_fails(capsys, tmp_path):
    data, chance = bytearray(DEMO_CLIP.read_bytes()), random.Random(3)
    for _ in range(60):
        data[chance.randrange(len(data) // 3, len(data) * 9 // 10)] ^= 0xFF
    (tmp_path / "damaged.mp4").write_bytes(data)
    ended, text = run(capsys, "--source", tmp_path / "damaged.mp4", "--events", tmp_path / "e.jsonl", "--strict")
    frames, skipped, corrupt, unreadable = counts(text, "damaged")
    assert (ended, skipped) == (9, 0)
    assert frames > 0
    assert corrupt > 0
    assert unreadable > 0
    assert f"damaged: not read in full ({unreadable} unreadable, {corrupt} corrupt" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0:00.0"),
        (-1.0, "0:00.0"),
        (59.94, "0:59.9"),
        (59.96, "1:00.0"),
        (3599.94, "59:59.9"),
        (3599.96, "1:00:00.0"),
        (7261.25, "2:01:01.2"),
    ],
)
def test_a_clock_time_is_rounded_first(seconds, text):
    assert clock_time(seconds) == text
