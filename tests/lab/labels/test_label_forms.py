"""Labels keep their values through every form, and what is wrong in a file is named with its place."""

import json
import re
import resource
import signal
from dataclasses import replace

import numpy as np
import pytest
from known_videos import ANNA, BEN, BOXES, CUP, HERS, HIS, episode, make_truth, still

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.truth import TruthTrack, read_truth, truth_path, write_truth
from edge_hoi.lab.labels import keyframes, read_labels, text_form, write_labels

SUFFIXES = (".yaml", ".xml", ".json", ".truth.json")


def moving(category, frames):
    """A track whose box moves by a third of a pixel a frame, up and down again."""
    frames = np.array(frames, np.int64)
    left = 30 + np.abs(frames - 300) / 3
    return TruthTrack(category, frames, np.stack([left, left, left + 20, left + 30.55], axis=1).round(2).astype(np.float32))


@pytest.fixture
def truth():
    """People and objects that move, are out of view in between, until the last frame and from the first; and one that has no boxes."""
    tracks = {
        ANNA: moving("person", [*range(100), *range(150, 600)]),
        BEN: still("person", BOXES[BEN], range(590, 600)),
        HERS: moving("bicycle", [7]),
        CUP: still("cup", BOXES[CUP], ()),
    }
    episodes = (
        episode(start=0.0, end=0.1),
        episode(BEN, HIS, "push", 1.5, 59.9),
        episode(ANNA, None, "smile", 2.0, 60.0, ["crossing", "occlusion"]),
        episode(ANNA, CUP, "hold", 3.0, 4.0),
    )
    return make_truth(*episodes, tracks=tracks, verbs=("ride", "push", "smile", "hold", "drink_with"))


def same(one, other, *, tolerance=0.0):
    """Compare all values of two ground truths."""
    assert (one.video, one.verbs) == (other.video, other.verbs)
    assert sorted(one.episodes, key=repr) == sorted(other.episodes, key=repr)
    assert one.tracks.keys() == other.tracks.keys()
    for name, track in one.tracks.items():
        assert track.category == other.tracks[name].category
        assert track.frames.tolist() == other.tracks[name].frames.tolist()
        assert np.abs(track.boxes - other.tracks[name].boxes).max(initial=0) <= tolerance
    return True


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_survive_a_form(truth, tmp_path, suffix):
    write_labels(truth, tmp_path / f"street{suffix}")
    assert same(read_labels(tmp_path / f"street{suffix}", truth.video), truth, tolerance=1.06 if suffix == ".yaml" else 0.0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_read_is_written_byte_for_byte(truth, tmp_path, suffix):
    once, twice = tmp_path / f"once{suffix}", tmp_path / f"twice{suffix}"
    write_labels(replace(truth, verbs=None), once)
    if suffix == ".yaml":  # its boxes are rounded in the first pass
        write_labels(read_labels(once, truth.video), once)
    write_labels(read_labels(once, truth.video), twice)
    assert once.read_bytes() == twice.read_bytes()


@pytest.mark.parametrize("suffix", [".xml", ".json"])
def test_the_ground_truth_of_a_rendered_video_survives(tmp_path, suffix):
    truth = read_truth(truth_path(DEMO_CLIP))
    write_labels(truth, tmp_path / f"demo{suffix}")
    assert same(read_labels(tmp_path / f"demo{suffix}", truth.video), truth)


def test_times_between_frames_are_at_the_nearest_in_cvat(tmp_path):
    truth = make_truth(episode(start=1.04, end=2.06), episode(BEN, HIS, start=3.01, end=3.02))
    write_labels(truth, tmp_path / "street.xml")
    read = read_labels(tmp_path / "street.xml", truth.video)
    assert [(each.start, each.end) for each in read.episodes] == [(1.0, 2.1), (3.0, 3.1)]


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
  <track id="0" label="person" source="manual">
    <box frame="10" outside="0" occluded="1" keyframe="1" xtl="10.00" ytl="20.00" xbr="30.00" ybr="80.00" z_order="0">
      <attribute name="id">4</attribute></box>
    <box frame="20" outside="0" occluded="0" keyframe="1" xtl="20.00" ytl="20.00" xbr="40.00" ybr="80.00" z_order="0">
      <attribute name="id">4</attribute></box>
    <box frame="22" outside="1" occluded="0" keyframe="1" xtl="20.00" ytl="20.00" xbr="40.00" ybr="80.00" z_order="0"/>
  </track>
  <track id="1" label="interaction" source="manual">
    <box frame="12" outside="0" occluded="0" keyframe="1" xtl="0" ytl="0" xbr="9" ybr="9" z_order="0">
      <attribute name="verb">ride</attribute>
      <attribute name="human">4</attribute><attribute name="object">7</attribute><attribute name="object_name">bicycle</attribute></box>
    <box frame="18" outside="1" occluded="0" keyframe="1" xtl="0" ytl="0" xbr="9" ybr="9" z_order="0"/>
    <box frame="590" outside="0" occluded="0" keyframe="1" xtl="0" ytl="0" xbr="9" ybr="9" z_order="0"/>
  </track>
</annotations>
"""


def read_cvat_text(tmp_path, text):
    (tmp_path / "annotations.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(tmp_path / "annotations.xml", make_truth().video)


def test_boxes_between_key_frames_of_cvat_are_interpolated_and_a_track_stays_until_it_is_outside(tmp_path):
    truth = read_cvat_text(tmp_path, CVAT)
    assert truth.tracks[4].frames.tolist() == list(range(10, 22))
    assert truth.tracks[4].boxes[[0, 5, 10, 11], 0].tolist() == [10, 15, 20, 20]
    assert truth.tracks[7].category == "bicycle"
    assert len(truth.tracks[7].frames) == 0
    assert [(each.human, each.object, each.start, each.end) for each in truth.episodes] == [(4, 7, 1.2, 1.8), (4, 7, 59.0, 60.0)]
    assert truth.verbs is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('frame="20"', 'frame="600"', r"track 0 \(person\): expected a frame from 0 to 599, got 600"),
        ('frame="20"', 'frame="10"', "track 0 .*frame 10 has two boxes"),
        ('<attribute name="id">4</attribute>', "", "track 0 .*expected its attribute `id` as a number from 1 on, got ''"),
        ('name="human">4<', 'name="human">x<', "track 1 .*expected its attribute `human` as a number"),
        ('name="human">4<', 'name="human">7<', "a person as human, track 7 is a bicycle|a bicycle as object, track 7 is a person"),
        ('xbr="30.00"', 'xbr="5"', r"track 0 .*expected boxes \[left, top, right, bottom\]"),
        ('xbr="30.00"', 'xbr="nan"', "track 0 .*four finite numbers"),
        ('occluded="1"', 'rotation="3"', "a box that is rotated"),
        ("<track id=", "<image id='0'/><track id=", "not of the form `CVAT for video 1.1`"),
        ("<annotations>", '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotations>', "it defines a document type or entities"),
        ("</annotations>", "", "not XML in UTF-8"),
        ('<attribute name="verb">ride</attribute>', "", "expected 'verb', which is missing"),
    ],
)
def test_what_is_wrong_in_a_file_of_cvat_is_named_with_its_track(tmp_path, old, new, message):
    with pytest.raises(DatasetError, match=message):
        read_cvat_text(tmp_path, CVAT.replace(old, new))


def test_other_encodings_and_the_packed_file_of_cvat_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="not XML in UTF-8"):
        read_cvat_text(tmp_path, CVAT.replace("<annotations>", "<!DOCTYPE a><annotations>").encode("utf-16"))
    with pytest.raises(DatasetError, match=r"it is a ZIP file; unpack annotations\.xml"):
        read_cvat_text(tmp_path, b"PK\x03\x04")


def test_a_category_called_like_the_label_of_episodes_does_not_go_into_cvat(tmp_path):
    truth = make_truth(tracks={9: still("interaction", BOXES[CUP])})
    with pytest.raises(DatasetError, match="the category 'interaction' is the label of episodes"):
        write_labels(truth, tmp_path / "street.xml")


TEXT = """\
format: edge-hoi labels 1
video: street.mp4
verbs: [ride, hold]
episodes:
- {start: 0:01.5, end: 2, verb: ride, object: bicycle, person: 1, object_id: 3}
- {start: 10, end: 1:0.0, verb: hold, object: cup, person_box: [10, 20, 30, 40]}
- {start: 10, end: 11, verb: hold, object: cup, person: 1}
boxes:
  1: {category: person, at: [[[1.0, 10, 20, 30, 40], [2.0, 20, 20, 40, 40]], [[3.0, 0, 0, 5, 5]]]}
"""


def read_text_labels(tmp_path, text):
    (tmp_path / "street.yaml").write_text(text)
    return read_labels(tmp_path / "street.yaml", make_truth().video)


def test_text_needs_no_numbers_and_no_boxes(tmp_path):
    truth = read_text_labels(tmp_path, TEXT)
    first, second, third = truth.episodes
    assert (first.start, first.end, second.start, second.end) == (1.5, 2.0, 10.0, 60.0)
    assert (first.human, first.object, third.human) == (1, 3, 1)
    assert len({first.human, second.human}) == len({first.object, second.object, third.object}) - 1 == 2
    assert truth.tracks[1].frames.tolist() == [*range(10, 21), 30]
    assert truth.tracks[1].boxes[5].tolist() == [15, 20, 35, 40]
    assert truth.tracks[second.human].frames.tolist() == list(range(100, 600))
    assert len(truth.tracks[second.object].frames) == 0
    assert truth.verbs == ("ride", "hold")
    write_truth(truth, tmp_path / "street.truth.json")
    assert same(read_truth(tmp_path / "street.truth.json"), truth)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("end: 2,", "end: 1,", "line 5: expected an episode to start at 0 s or later and before its end, got 1.5 and 1"),
        ("end: 2,", "end: 60.2,", "line 5: expected seconds from 0 to the video's 60, or 1:23.5, got 60.2"),
        ("end: 2,", "end: soon,", "line 5: expected seconds from 0"),
        ("end: 2,", "", "line 5: expected 'end', which is missing"),
        ("verb: ride", "verb: fly", "line 5: expected a verb of `verbs`, got fly"),
        ("verb: ride", "verb: true", "line 5: expected a verb"),
        ("object_id: 3", "object_id: 1", "line 5: 1 is a person elsewhere, here a bicycle"),
        ("object_id: 3", "thing: 3", "line 5: unknown key 'thing'"),
        ("object: bicycle", "object: null", "line 5: expected `object` with object_id"),
        ("person: 1}", "person: 0}", "line 7: expected a number from 1 to 999999999, got 0"),
        ("[10, 20, 30, 40]}", "[10, 20, 5, 40]}", "line 6: expected boxes [left, top, right, bottom] with left < right"),
        ("[10, 20, 30, 40]}", "[10, 20, 30]}", "line 6: expected boxes of four finite numbers"),
        ("[3.0, 0, 0, 5, 5]", "[61, 0, 0, 5, 5]", "line 9: expected seconds from 0"),
        ("[3.0, 0, 0, 5, 5]", "3", "line 9: expected a list of"),
        ("verbs: [ride, hold]", "verbs: [ride, hold, 2026-01-01]", "street.yaml: expected a verb as its name, got '2026-01-01'"),
        ("video: street.mp4", "video: other.mp4", "it is of the video 'other.mp4', not street.mp4"),
        ("labels 1", "labels 2", "expected `format: edge-hoi labels 1`"),
        ("boxes:", "box:", "unknown key 'box'; did you mean 'boxes'"),
        ("episodes:", "episodes: {", "is not YAML"),
    ],
)
def test_what_is_wrong_in_a_text_is_named_with_its_line(tmp_path, old, new, message):
    with pytest.raises(DatasetError, match=re.escape(message)):
        read_text_labels(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda form: form["annotations"][0].update(bbox=[1, 2, 3]), "annotation 1: not as expected"),
        (lambda form: form["annotations"][0].update(track_id=BEN), f"track {BEN} has two boxes|track {BEN} is a"),
        (lambda form: form["images"][0].update(frame_index=600), "annotation 1: expected a frame from 0 to 599, got 600"),
        (lambda form: form["interactions"][0].update(human=77), "expected human as the id of a track, got 77"),
        (lambda form: form["interactions"][0].pop("verb"), "interaction 1: expected 'verb', which is missing"),
        (lambda form: form["videos"][0].update(name="other.mp4"), "expected the video street.mp4 once, it has other.mp4"),
        (lambda form: form.pop("categories"), "expected 'categories', which is missing"),
    ],
)
def test_what_is_wrong_in_coco_is_named_with_its_entry(tmp_path, change, message):
    truth, path = make_truth(episode()), tmp_path / "street.json"
    write_labels(truth, path)
    form = json.loads(path.read_text())
    change(form)
    path.write_text(json.dumps(form))
    with pytest.raises(DatasetError, match=message):
        read_labels(path, truth.video)


def test_coco_with_the_names_of_mmtracking_and_several_videos_is_read(tmp_path):
    truth, path = make_truth(episode()), tmp_path / "street.json"
    write_labels(truth, path)
    form = json.loads(path.read_text())
    form["videos"].append({"id": 2, "name": "other.mp4"})
    form["images"].append({"id": 9999, "video_id": 2, "frame_id": 0})
    form["annotations"].append({"id": 9999, "image_id": 9999, "category_id": 1, "instance_id": 1, "bbox": [0, 0, 1, 1]})
    for each in form["images"][:-1]:
        each["frame_id"] = each.pop("frame_index")
    for each in form["annotations"][:-1]:
        each["instance_id"] = each.pop("track_id")
    del form["tracks"], form["annotated_verbs"]
    path.write_text(json.dumps(form))
    assert same(read_labels(path, truth.video), truth)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"expected labels as \.yaml"):
        write_labels(make_truth(), tmp_path / "street.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_cannot_be_written_whole_leaves_the_one_before(truth, tmp_path, suffix):
    path = tmp_path / f"street{suffix}"
    path.write_text("before")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(DatasetError, match=f"cannot write {re.escape(str(path))}: File too large"):
            write_labels(truth, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(path.name, "before")]


def test_lines_are_only_looked_for_where_something_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(text_form, "line_of", pytest.fail)
    assert len(read_text_labels(tmp_path, TEXT).episodes) == 3


def test_labels_of_many_boxes_are_read_again(tmp_path):
    span = "[[3.0, 0, 0, 5, 5]]"  # 7 values
    truth = read_text_labels(tmp_path, TEXT.replace(span, f"&again {span}{', *again' * 15_000}"))
    assert truth.tracks[1].frames.tolist() == [*range(10, 21), 30]


def test_a_text_is_written_only_if_it_can_be_read(truth, tmp_path, monkeypatch):
    path = tmp_path / "street.yaml"
    write_labels(truth, path)
    size = path.stat().st_size
    monkeypatch.setattr(text_form, "_MAX_BYTES", size)
    write_labels(truth, path)
    assert same(read_labels(path, truth.video), truth, tolerance=1.06)
    monkeypatch.setattr(text_form, "_MAX_BYTES", size - 1)
    with pytest.raises(DatasetError, match=f"more labels than the {size - 1} bytes of a text can hold; write .xml or .json instead"):
        write_labels(truth, path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_people_without_numbers_survive_every_form(tmp_path, suffix):
    text = TEXT.replace("object_id: 3", "object_id: 999999999")
    truth = read_text_labels(tmp_path, text)
    assert set(truth.tracks) == {1, 2, 3, 4, 999_999_999}
    write_labels(truth, tmp_path / f"street{suffix}")
    read = read_labels(tmp_path / f"street{suffix}", truth.video)
    assert {(each.human, each.object) for each in read.episodes} == {(1, 999_999_999), (2, 3), (1, 4)}


def test_a_number_that_no_form_can_hold_is_refused():
    with pytest.raises(DatasetError, match="expected track ids from 1 to 999999999, got 1000000000"):
        make_truth(tracks={10**9: still("cup", BOXES[CUP])})


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("0:01", 1), ("00:09", 9), ("01:05.5", 65.5), ("1:05", 65), ("0:00:07", 7), ("1:02:03.25", 3723.25), ("'0:30'", 30)],
)
def test_minutes_and_seconds_are_a_time(tmp_path, time, seconds):
    path = tmp_path / "street.yaml"
    path.write_text(f"{{format: edge-hoi labels 1, video: street.mp4, episodes: [{{start: {time}, end: 4000, verb: smile}}]}}")
    assert read_labels(path, make_truth(seconds=4000).video).episodes[0].start == seconds


@pytest.mark.parametrize("time", ["0:0:0:1", "0:001", "-0:01", "0:٣", ":01", "0:60"])
def test_other_texts_are_no_time(tmp_path, time):
    with pytest.raises(DatasetError, match=f"line 5: expected seconds from 0 to the video's 60, or 1:23.5, got {time}"):
        read_text_labels(tmp_path, TEXT.replace("0:01.5", f"'{time}'"))


def test_the_ground_truth_of_another_video_is_refused(tmp_path):
    path = tmp_path / "street.truth.json"
    write_labels(make_truth(), path)
    video = make_truth(seconds=50).video
    assert read_labels(path, video).video.frames == 600
    for other, text in (
        (replace(video, file="gate.mp4"), "'gate.mp4' of 200 x 100"),
        (replace(video, width=300), "'street.mp4' of 300 x 100"),
    ):
        message = f"street.truth.json: it is of the video 'street.mp4' of 200 x 100 pixels, not {text} pixels; name its video"
        with pytest.raises(DatasetError, match=re.escape(message)):
            read_labels(path, other)


@pytest.mark.parametrize("name", [" wave", "wave ", "at night, alone"])
def test_names_that_cvat_would_change_do_not_go_into_it(tmp_path, name):
    message = f"without outer spaces, and difficulties without commas, got {name!r}; use another form"
    with pytest.raises(DatasetError, match=re.escape(message)):
        write_labels(make_truth(episode(difficulties=["crossing", name])), tmp_path / "street.xml")
    truths = [make_truth(episode(verb=name)), make_truth(verbs=("ride", name)), make_truth(tracks={9: still(name, BOXES[CUP])})]
    for truth in truths:
        if name == name.strip():
            write_labels(truth, tmp_path / "street.xml")
            assert same(read_labels(tmp_path / "street.xml", truth.video), truth)
        else:
            with pytest.raises(DatasetError, match=re.escape(message)):
                write_labels(truth, tmp_path / "street.xml")


def crowded(suffix, people):
    """Write people who are in view from the first frame of a long video to its last."""
    if suffix == ".yaml":
        rows = "".join(f"  {name}: {{category: person, at: [[[0, 1, 1, 9, 9], [1000, 1, 1, 9, 9]]]}}\n" for name in range(1, people + 1))
        return f"format: edge-hoi labels 1\nvideo: street.mp4\nboxes:\n{rows}"
    box = '<box frame="0" xtl="1" ytl="1" xbr="9" ybr="9"><attribute name="id">{}</attribute></box>'
    tracks = "".join(f'<track label="person">{box.format(name)}</track>' for name in range(1, people + 1))
    return f"<annotations>{tracks}</annotations>"


@pytest.mark.parametrize("suffix", [".yaml", ".xml"])
def test_the_boxes_of_a_small_file_are_bounded(tmp_path, monkeypatch, suffix):
    path, video = tmp_path / f"street{suffix}", make_truth(seconds=1000).video
    monkeypatch.setattr(keyframes, "MAX_BOXES", 50_000)
    path.write_text(crowded(suffix, 5))
    assert sum(len(each.frames) for each in read_labels(path, video).tracks.values()) == 50_000
    path.write_text(crowded(suffix, 6))
    with pytest.raises(DatasetError, match=f"street{suffix}.*the labels have more than 50000 boxes; end tracks"):
        read_labels(path, video)
