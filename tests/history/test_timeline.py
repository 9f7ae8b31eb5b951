"""The picture of episodes over time."""

import base64
import hashlib
import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from past_events import past_events, read_episodes, write_lines
from PIL import Image

from edge_hoi.errors import ConfigError
from edge_hoi.history import Selection
from edge_hoi.history.timeline import MOST_ROWS, write_timeline
from edge_hoi.types import MediaFile, Severity

SVG = "{http://www.w3.org/2000/svg}"
BLUE, ORANGE = "#0072b2", "#e69f00"


def draw(tmp_path, *episodes, name="timeline.svg", media=None, **selection):
    """Draw a picture; return its path and the notes."""
    notes = []
    found = read_episodes(write_lines(tmp_path / "events.jsonl", *episodes), **selection)
    write_timeline(found, tmp_path / name, Selection(**selection), media=media, note=notes.append)
    return tmp_path / name, notes


def bars(path):
    """Return left, right and top of each bar, by colour."""
    found = {}
    for each in ElementTree.parse(path).iter(f"{SVG}rect"):
        if each.find(f"{SVG}title") is not None:
            left, width, top = (float(each.get(name)) for name in ("x", "width", "y"))
            found.setdefault(each.get("fill"), []).append((left, left + width, top))
    return found


def texts(path):
    return [each.text for each in ElementTree.parse(path).iter(f"{SVG}text")]


def snapshot(folder, *, camera="gate", colour="red"):
    """Write an image; return the reference to it."""
    path = folder / camera / "a.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (320, 180), colour).save(path)
    content = path.read_bytes()
    return MediaFile(path.as_uri(), hashlib.sha256(content).hexdigest(), "image/jpeg", len(content), 0.0)


def test_a_bar_is_where_its_episode_is(tmp_path):
    first, second = (
        past_events("a" * 32, at=0, seconds=100),
        past_events("b" * 32, at=200, seconds=200, verb="hold", text="person holding cup"),
    )
    path, _ = draw(tmp_path, first, second)
    found = bars(path)
    ((left, right, top),), ((other_left, other_right, other_top),) = found[BLUE], found[ORANGE]
    scale = (right - left) / 100
    assert other_left - left == pytest.approx(200 * scale, abs=0.2)
    assert other_right - other_left == pytest.approx(200 * scale, abs=0.2)
    assert other_top < top  # by name: holding before riding
    assert texts(path)[0].startswith("2 episodes, ")
    assert [each for each in texts(path) if each.startswith("person")] == ["person holding cup", "person riding bicycle"]


def test_episodes_at_the_same_time_do_not_hide_each_other_and_close_ones_are_one_bar(tmp_path):
    together = [past_events(f"{number:032x}", at=number, seconds=500) for number in range(3)]
    close = [past_events(f"{number:032x}", at=1000 + number / 100, seconds=0.001) for number in range(10, 40)]
    path, _ = draw(tmp_path, *together, *close)
    (found,) = bars(path).values()
    assert len(found) == 4
    assert len({top for _, _, top in found}) == 3
    assert any("30 episodes of person riding bicycle" in each.text for each in ElementTree.parse(path).iter(f"{SVG}title"))


def test_the_selected_time_is_the_axis_and_what_goes_beyond_is_cut(tmp_path):
    start = past_events("a" * 32, at=0, seconds=1000)[0].start.utc
    path, _ = draw(tmp_path, past_events("a" * 32, at=0, seconds=1000), since=start.replace(minute=5), until=start.replace(minute=10))
    (((left, right, _),),) = bars(path).values()
    assert (left, right) == (300, 1376)  # all of the axis, its margins included


def test_an_episode_that_a_rule_matched_has_an_outline(tmp_path):
    path, _ = draw(tmp_path, past_events("a" * 32), past_events("b" * 32, at=60, rule="alarm", rules=("alarm",), severity=Severity.ALERT))
    outlines = [each.get("stroke") for each in ElementTree.parse(path).iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]
    assert outlines == [None, "#000000"]
    assert "a rule matched" in texts(path)
    assert "a rule matched" not in texts(draw(tmp_path, past_events("a" * 32))[0])


def test_png_and_html_show_the_same(tmp_path):
    episode = past_events("a" * 32, seconds=100, snapshot=snapshot(tmp_path / "media"))
    png, _ = draw(tmp_path, episode, name="timeline.PNG")
    with Image.open(png) as image:
        colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert {(0x00, 0x72, 0xB2), (254, 0, 0)} <= colours
    html, _ = draw(tmp_path, episode, name="timeline.html")
    page = html.read_text()
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'" in page
    assert page.count("<image ") == 1


def test_a_snapshot_is_a_thumbnail_that_leads_to_it(tmp_path):
    file = snapshot(tmp_path / "media")
    path, notes = draw(tmp_path, past_events("a" * 32, snapshot=file))
    (link,) = ElementTree.parse(path).iter(f"{SVG}a")
    assert link.get("{http://www.w3.org/1999/xlink}href") == file.uri
    (image,) = link.iter(f"{SVG}image")
    content = base64.b64decode(image.get("{http://www.w3.org/1999/xlink}href").partition(",")[2])
    with Image.open(io.BytesIO(content)) as photo:
        assert photo.size == (150, 84)
        assert photo.getpixel((75, 42)) == (254, 0, 0)
    assert notes == []


def test_of_snapshots_in_one_place_the_one_of_the_best_score_is_shown(tmp_path):
    worse = past_events("a" * 32, score=0.5, snapshot=snapshot(tmp_path / "media", camera="a", colour="blue"))
    better = past_events("b" * 32, score=0.9, snapshot=snapshot(tmp_path / "media", camera="b"))
    path, _ = draw(tmp_path, worse, better, past_events("c" * 32, at=1000))
    (link,) = ElementTree.parse(path).iter(f"{SVG}a")
    assert link.get("{http://www.w3.org/1999/xlink}href") == better[0].snapshot.uri


def test_snapshots_that_were_moved_are_found_by_their_folder(tmp_path):
    file = replace(snapshot(tmp_path / "moved"), uri="https://box.example/media/gate/a.jpg")
    path, notes = draw(tmp_path, past_events("a" * 32, snapshot=file))
    assert "<image" not in path.read_text()
    assert notes == ["the timeline has no thumbnails: the snapshots are not where the events say; name their folder with --media"]
    path, notes = draw(tmp_path, past_events("a" * 32, snapshot=file), media=tmp_path / "moved")
    assert path.read_text().count("<image") == 1
    assert notes == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda file, path: path.write_bytes(path.read_bytes()[:-1] + b"x"), id="another image"),
        pytest.param(lambda file, path: path.unlink(), id="none"),
        pytest.param(lambda file, path: replace(file, uri=Path("/dev/zero").as_uri()), id="a device"),
        pytest.param(lambda file, path: replace(file, size_bytes=1 << 40), id="too large"),
        pytest.param(lambda file, path: replace(file, uri=f"{path.parent.as_uri()}/..%2Fgate%2Fa.jpg"), id="a folder in its name"),
    ],
)
def test_a_file_that_is_not_the_snapshot_is_not_shown(tmp_path, change):
    file = snapshot(tmp_path / "media")
    changed = change(file, tmp_path / "media" / "gate" / "a.jpg")
    file = changed if isinstance(changed, MediaFile) else file
    path, notes = draw(tmp_path, past_events("a" * 32, snapshot=file))
    assert "<image" not in path.read_text()
    assert len(notes) == 1


def test_names_cannot_become_markup_nor_links_scripts(tmp_path):
    file = replace(snapshot(tmp_path / "media"), uri="javascript:alert(1)/gate/a.jpg")
    hostile = past_events("a" * 32, camera="</svg><script>&\x1b", text='person "><script>', verb="<b>", snapshot=file)
    path, _ = draw(tmp_path, hostile, name="timeline.html", media=tmp_path / "media")
    page = path.read_text()
    assert "<script" not in page
    assert "javascript:" not in page
    assert "\x1b" not in page
    assert page.count("<image ") == 1


@pytest.mark.parametrize("part", ["\x01", "\ufffe", "x" * 9000], ids=["control", "no character", "long"])
def test_a_snapshot_s_address_that_xml_forbids_or_that_is_very_long_is_no_link(tmp_path, part):
    lines = write_lines(tmp_path / "events.jsonl", past_events("a" * 32, snapshot=snapshot(tmp_path / "media")))
    (episode,) = read_episodes(lines)
    episode = replace(episode, snapshot=episode.snapshot._replace(uri=f"https://box.example/{part}/gate/a.jpg"))
    write_timeline([episode], tmp_path / "timeline.svg", Selection(), media=tmp_path / "media", note=print)
    drawing = ElementTree.parse(tmp_path / "timeline.svg")
    assert list(drawing.iter(f"{SVG}a")) == []
    assert len(list(drawing.iter(f"{SVG}image"))) == 1


def test_long_or_unprintable_names_are_shortened_in_details(tmp_path):
    for count in (1, 2):
        episodes = [past_events(f"{n:032x}", at=n / 1000, text="y" * 5000, rule="z\x01" * 5000, rules=("z",)) for n in range(count)]
        path, _ = draw(tmp_path, *episodes, past_events("a" * 32, at=10_000))
        titles = [each.text for each in ElementTree.parse(path).iter(f"{SVG}title")]
        assert 400 > len(max(titles, key=len)) > 100


def test_the_rows_with_the_most_episodes_are_drawn_and_the_others_are_counted(tmp_path):
    rare = [past_events(f"{number:032x}", text=f"person {number:03}") for number in range(MOST_ROWS)]
    frequent = [past_events(f"{number:032x}", at=number, text="person often") for number in range(100, 103)]
    path, _ = draw(tmp_path, *rare, *frequent)
    assert len([each for each in texts(path) if each.startswith("person")]) == MOST_ROWS
    assert "person often" in texts(path)
    assert texts(path)[0].endswith("; 1 episodes of 1 other rows are not shown")


def test_recordings_without_a_clock_have_an_axis_of_media_time(tmp_path):
    path, _ = draw(tmp_path, past_events("a" * 32, at=-1767268800, seconds=30, is_relative=True))
    assert texts(path)[0] == "1 episodes, 0.0 s to 30.0 s"
    assert "0:00:15" in texts(path)
    path, _ = draw(tmp_path, past_events("a" * 32, at=-1767268800, is_relative=True), past_events("b" * 32))
    assert texts(path)[0].startswith("1 episodes, 2026-01-01")


def test_episodes_without_a_clock_beside_others_are_left_out_with_a_note(tmp_path):
    relative = [past_events(f"{number:032x}", at=-1767268800, is_relative=True) for number in range(2)]
    path, notes = draw(tmp_path, *relative, past_events("b" * 32))
    assert texts(path)[0].startswith("1 episodes, ")
    assert notes == ["the timeline lacks 2 episodes without a clock; name only their files to draw them"]
    assert draw(tmp_path, *relative)[1] == []


def save(path, size, form, colour="red"):
    Image.new("RGB", size, colour).save(path, form)
    return MediaFile(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest(), "image/jpeg", path.stat().st_size, 0.0)


@pytest.mark.parametrize(
    ("size", "form", "is_shown"),
    [
        ((7680, 4320), "jpeg", True),
        ((7681, 4320), "jpeg", False),
        ((11_000, 9000), "jpeg", False),  # of which Pillow warns
        ((320, 180), "webp", True),
        ((320, 180), "eps", False),
        ((320, 180), "png", False),
    ],
)
def test_snapshots_are_jpeg_or_webp_no_larger_than_frames(tmp_path, recwarn, size, form, is_shown):
    (tmp_path / "gate").mkdir()
    path, notes = draw(tmp_path, past_events("a" * 32, snapshot=save(tmp_path / "gate" / "a.jpg", size, form)))
    assert path.read_text().count("<image ") == is_shown
    assert (len(notes), len(recwarn)) == (not is_shown, 0)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"expected the suffix \.png, \.svg, \.html"):
        draw(tmp_path, past_events("a" * 32), name="timeline.gif")
