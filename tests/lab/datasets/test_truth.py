"""Ground truth of a video: round trip, and refusal of inconsistent files."""

import json
import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from known_videos import ANNA, CUP, HERS, episode, make_truth

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.truth import Truth, TruthEpisode, TruthTrack, TruthVideo, read_truth, truth_path, write_truth


@pytest.fixture
def document(tmp_path):
    truth = make_truth(episode(), episode(ANNA, None, "smile", 1.0, 2.0, ["crossing", "dropout"]), seconds=30)
    write_truth(truth, tmp_path / "street.truth.json")
    return json.loads((tmp_path / "street.truth.json").read_text())


def read(document, folder):
    path = folder / "changed.truth.json"
    path.write_text(json.dumps(document))
    return read_truth(path)


def same(a: Truth, b: Truth) -> bool:
    return (
        (a.video, a.episodes, a.verbs, list(a.tracks)) == (b.video, b.episodes, b.verbs, list(b.tracks))
        and all(a.tracks[track].category == b.tracks[track].category for track in a.tracks)
        and all(np.array_equal(a.tracks[track].frames, b.tracks[track].frames) for track in a.tracks)
        and all(np.allclose(a.tracks[track].boxes, b.tracks[track].boxes, atol=0.006) for track in a.tracks)
    )


def test_the_form_is_as_documented(document):
    assert document["format"] == "edge-hoi truth 1"
    assert document["video"] == {"file": "street.mp4", "fps": 10.0, "width": 200, "height": 100, "frames": 300, "duration_seconds": 30.0}
    assert document["tracks"]["3"]["category"] == "bicycle"
    assert document["tracks"]["3"]["boxes"][7] == [7, 10.0, 50.0, 60.0, 90.0]
    assert document["episodes"][1] == {
        "human": 1,
        "object": None,
        "verb": "smile",
        "object_name": None,
        "start": 1.0,
        "end": 2.0,
        "difficulties": ["crossing", "dropout"],
    }
    assert "verbs" not in document


def test_the_example_of_the_documentation_is_read(repository, tmp_path):
    (example,) = re.findall(r"^```json\n(.+?)^```$", (repository / "docs" / "event-quality.md").read_text(), re.MULTILINE | re.DOTALL)
    truth = read(json.loads(example), tmp_path)
    assert repr(truth) == "Truth('street.mp4', 2 tracks, 2 episodes)"
    assert truth.verbs == ("ride", "smile", "push")


@st.composite
def truths(draw):
    frames = draw(st.integers(1, 40))
    fps = draw(st.sampled_from([5.0, 12.5, 15.0, 30.0]))
    tracks = {}
    for track_id, category in ((1, "person"), (7, "cup")):
        seen = sorted(draw(st.sets(st.integers(0, frames - 1))))
        corner = draw(st.floats(-50, 500, width=32))
        box = [corner, corner / 2, corner + draw(st.floats(1, 90, width=32)), corner / 2 + 5]
        tracks[track_id] = TruthTrack(category, np.array(seen, np.int64), np.tile(np.array(box, np.float32), (len(seen), 1)))
    episodes = [
        TruthEpisode(1, *pair, 0.0, frames / fps, tuple(draw(st.sets(st.sampled_from(["crossing", "occlusion", "dropout"])))))
        for pair in draw(st.lists(st.sampled_from([(7, "hold", "cup"), (None, "smile", None)]), max_size=3))
    ]
    episodes = [TruthEpisode(e.human, e.object, e.verb, e.object_name, 0.0, round(e.end, 6), e.difficulties) for e in episodes]
    verbs = draw(st.sampled_from([None, ("hold", "smile")]))
    return Truth(TruthVideo("a.mp4", fps, 640, 360, frames, frames / fps), tracks, tuple(episodes), verbs)


@given(truth=truths())
def test_what_is_written_is_read_again(truth, tmp_path_factory):
    path = tmp_path_factory.mktemp("truth") / "a.truth.json"
    write_truth(truth, path)
    again = read_truth(path)
    assert same(truth, again)
    before = path.read_bytes()
    write_truth(again, path)
    assert path.read_bytes() == before


def test_ground_truth_is_beside_its_video(tmp_path):
    assert truth_path(tmp_path / "clip.1.mp4") == tmp_path / "clip.1.truth.json"


def put(document, value, *path):
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format"], "edge-hoi truth 2", "expected a file of format 'edge-hoi truth 1', got 'edge-hoi truth 2'"),
        (["video"], [], "expected the video as a JSON object, got list"),
        (["video", "fps"], 0, "expected fps as a number above 0, got 0"),
        (["video", "fps"], float("nan"), "expected fps as a number above 0, got nan"),
        (["video", "fps"], "15", "expected fps as a number above 0, got 15"),
        (["video", "frames"], 2.5, "expected frames as an integer of at least 1"),
        (["video", "frames"], 10_000_001, "expected at most 10000000 frames, got 10000001"),
        (["video", "width"], True, "expected width as an integer"),
        (["video", "file"], "../../etc/passwd", "file name within the data set's folder"),
        (["tracks"], [], "expected tracks as a JSON object, got list"),
        (["tracks", "one"], {"category": "person", "boxes": []}, "track one: not as expected"),
        (["tracks", "0"], {"category": "person", "boxes": []}, "expected track ids from 1 to 999999999, got 0"),
        (["tracks", "1", "category"], "", "expected a track's category as its name"),
        (["tracks", "1", "boxes"], {}, "track 1: expected a list of boxes, got dict"),
        (["tracks", "1", "boxes", 0], 5, r"track 1: expected boxes as \[frame, left, top, right, bottom\], got 5"),
        (["tracks", "1", "boxes", 0], [0, 1, 2, 3], "track 1: expected boxes as"),
        (["tracks", "1", "boxes", 0], [0, 1, 2, 3, "4"], "expected boxes of four finite numbers"),
        (["tracks", "1", "boxes", 0], [0, 1, 2, float("inf"), 4], "expected boxes of four finite numbers"),
        (["tracks", "1", "boxes", 0], [0, 9, 2, 3, 4], "left < right"),
        (["tracks", "1", "boxes", 0], [300, 1, 2, 3, 4], "expected a frame from 0 to 299, got 300"),
        (["tracks", "1", "boxes", 0], [5, 1, 2, 3, 4], "in the order of their frames"),
        (["episodes"], None, "expected a list of episodes, got NoneType"),
        (["episodes", 0], "ride", "episode 0: expected an episode as a JSON object, got str"),
        (["episodes", 0, "start"], 25.0, "episode 0: expected an episode to start at 0 s or later and before its end, got 25.0 and 20"),
        (["episodes", 0, "start"], -1, "to start at 0 s or later"),
        (["episodes", 0, "end"], 31.0, r"expected its end within the video's 30.0 s, got 31.0"),
        (["episodes", 0, "end"], "20", "expected end as a number, got 20"),
        (["episodes", 0, "human"], 9, r"expected human as the id of a track, got 9; tracks: \[1, 2, 3, 4, 5\]"),
        (["episodes", 0, "human"], HERS, "expected a person as human, track 3 is a bicycle"),
        (["episodes", 0, "object"], CUP, "expected a bicycle as object, track 5 is a cup"),
        (["episodes", 0, "object"], None, "expected both object and object_name or neither, got None and bicycle"),
        (["episodes", 0, "verb"], 7, "expected a verb as its name, got '7'"),
        (["episodes", 0, "difficulties"], "crossing", "expected a list of difficulties, got str"),
        (["episodes", 0, "difficulties"], [None], "expected a difficulty as its name"),
        (["verbs"], ["ride", 1], "expected a verb as its name, got '1'"),
        (["verbs"], ["ride", {"a": 2}], "expected a verb as its name"),
        (["verbs"], ["ride", "no\x00"], "expected a verb as its name"),
        (["verbs"], ["smile"], "expected a verb of `verbs`, got ride"),
    ],
)
def test_inconsistent_values_are_refused_with_their_place(document, tmp_path, path, value, message):
    put(document, value, *path)
    with pytest.raises(DatasetError, match=message) as caught:
        read(document, tmp_path)
    assert "changed.truth.json" in str(caught.value)


@pytest.mark.parametrize("path", [["video", "fps"], ["tracks"], ["episodes", 0, "difficulties"], ["tracks", "1", "boxes"]])
def test_missing_keys_are_named(document, tmp_path, path):
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    with pytest.raises(DatasetError, match=f"expected '{path[-1]}', which is missing"):
        read(document, tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '"truth"', "[" * 100_000, "\x00\xff"])
def test_files_of_another_form_are_refused(tmp_path, content):
    (tmp_path / "a.truth.json").write_text(content)
    with pytest.raises(DatasetError, match=r"a\.truth\.json"):
        read_truth(tmp_path / "a.truth.json")


def test_a_missing_file_or_an_unwritable_folder_is_reported(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        read_truth(tmp_path / "a.truth.json")
    with pytest.raises(DatasetError, match="choose a folder that exists"):
        write_truth(make_truth(seconds=1), tmp_path / "none" / "a.truth.json")


def test_unknown_keys_are_ignored(document, tmp_path):
    put(document, {"seed": 7}, "renderer")
    assert same(read(document, tmp_path), read_truth(tmp_path / "street.truth.json"))


def test_the_longest_video_is_read(document, tmp_path):
    put(document, 10_000_000, "video", "frames")
    assert read(document, tmp_path).video.frames == 10_000_000
