"""`edge-hoi label`, and the worked example of docs/labelling.md on the begin of the embedded clip."""

import json
import re
import shlex

import pytest
import yaml
from known_videos import BEN, HIS, make_events, make_truth

from edge_hoi.cli import main
from edge_hoi.config import load_config
from edge_hoi.lab.datasets.truth import read_truth, write_truth


@pytest.fixture
def street(tmp_path, monkeypatch):
    """A folder with a video, its events and, as its length stands there, its ground truth."""
    monkeypatch.chdir(tmp_path)
    write_truth(make_truth(), tmp_path / "street.truth.json")
    (tmp_path / "street.mp4").touch()
    events = [*make_events(), *make_events(BEN, HIS, "push", start=30, end=40, camera="street")]
    (tmp_path / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return tmp_path


@pytest.fixture
def label(capsys):
    """Run the command; give its exit code and what it printed."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["label", *map(str, arguments)])
        return ended.value.code or 0, "".join(capsys.readouterr())

    return run


def test_events_become_a_text_and_a_text_the_ground_truth(street, label):
    code, printed = label("street.mp4", "--events", "events.jsonl")
    assert (code, printed) == (0, "street.labels.yaml: 2 episodes, 2 people and objects\n")
    text = (street / "street.labels.yaml").read_text()
    (street / "street.labels.yaml").write_text(text.replace("end: 20.0", "end: 0:19.5"))
    assert label("street.mp4", "--labels", "street.labels.yaml", "--replace")[0] == 0
    assert [(each.verb, each.start, each.end) for each in read_truth(street / "street.truth.json").episodes] == [
        ("ride", 10.0, 19.5),
        ("push", 30.0, 40.0),
    ]


def test_an_existing_file_stays_unless_it_is_to_be_replaced(street, label):
    (street / "street.labels.yaml").write_text("corrected for an hour")
    code, printed = label("street.mp4", "--events", "events.jsonl")
    assert code == 2
    assert "street.labels.yaml exists, and may have your corrections" in printed
    assert (street / "street.labels.yaml").read_text() == "corrected for an hour"
    assert label("street.mp4", "--events", "events.jsonl", "--replace", "--verb", "push")[0] == 0
    form = yaml.safe_load((street / "street.labels.yaml").read_text())
    assert (form["verbs"], [each["verb"] for each in form["episodes"]]) == (["push"], ["push"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("street.mp4",), "expected either --events"),
        (("street.mp4", "--labels", "a.yaml", "--verb", "ride"), "expected either --events"),
        (("street.mp4", "--events", "events.jsonl", "--output", "street.mp4"), "expected labels as .yaml"),
        (("street.mp4", "--events", "events.jsonl", "-o", "events.jsonl"), "expected labels as .yaml"),
        (("street.mp4", "--labels", "street.truth.json", "--replace"), "--output street.truth.json is an input, and would be overwritten"),
        (("street.mp4", "--labels", "missing.xml", "-o", "new.json"), "cannot read missing.xml"),
        (("missing.mp4", "--labels", "street.truth.json"), "missing.mp4"),
    ],
)
def test_mistakes_are_errors_of_one_line(street, label, arguments, message):
    before = sorted((each.name, each.stat().st_mtime_ns) for each in street.iterdir())
    code, printed = label(*arguments)
    assert code in (2, 3)
    assert message in printed
    assert len(printed.splitlines()) == 1
    assert sorted((each.name, each.stat().st_mtime_ns) for each in street.iterdir()) == before


def test_a_line_that_is_no_event_is_named(street, label):
    with (street / "events.jsonl").open("a") as file:
        file.write("{\n")
    code, printed = label("street.mp4", "--events", "events.jsonl")
    assert code == 2
    assert re.search(r"events\.jsonl, line \d+: not as expected", printed)


def test_a_video_without_ground_truth_tells_its_length_itself(tmp_path, label, short_clip, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(short_clip.read_bytes())
    (tmp_path / "a.yaml").write_text("{format: edge-hoi labels 1, video: clip.mp4, episodes: [{start: 1, end: 2, verb: smile}]}")
    assert label("clip.mp4", "--labels", "a.yaml") == (0, "clip.truth.json: 1 episodes, 1 people and objects, 1 of them without boxes\n")
    video = read_truth(tmp_path / "clip.truth.json").video
    assert (video.file, video.fps, video.width, video.height, video.frames, video.duration_seconds) == ("clip.mp4", 15, 576, 320, 60, 4)


@pytest.mark.slow
def test_the_worked_example_runs_from_videos_to_thresholds(tmp_path, monkeypatch, repository, short_clip, capsys):
    text = (repository / "docs" / "labelling.md").read_text()
    drafting, choosing = (block.splitlines() for block in re.findall(r"^```sh\n(.+?)^```$", text, re.MULTILINE | re.DOTALL))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labelled").mkdir()
    for name in ("monday", "tuesday"):
        (tmp_path / "labelled" / f"{name}.mp4").write_bytes(short_clip.read_bytes())

    def run(lines):
        for line in lines:
            program, *arguments = shlex.split(line.replace("--engine photo", "--engine default"))
            assert program == "edge-hoi"
            with pytest.raises(SystemExit) as ended:
                main(arguments)
            assert not ended.value.code, capsys.readouterr()

    run(drafting)
    lines = re.search(r"^```yaml\nepisodes:\n(.+?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    monday = tmp_path / "labelled" / "monday.labels.yaml"
    drafted = monday.read_text()
    assert re.search(r"^- \{start: \S+, end: \S+, verb: ride, object: bicycle, person: \d+, object_id: \d+\}$", drafted, re.MULTILINE)
    new = lines.splitlines()[1].replace("0:05.5", "0:03.5")  # the clip is shorter
    monday.write_text(drafted.replace("episodes:\n", f"episodes:\n{new}\n"))
    run(choosing)
    truths = [read_truth(tmp_path / "labelled" / f"{name}.truth.json") for name in ("monday", "tuesday")]
    assert len(truths[0].episodes) == len(truths[1].episodes) + 1
    assert 0.3 <= load_config(tmp_path / "thresholds.yaml").episodes.enter <= 0.95
    assert "chosen, cross-validated" in capsys.readouterr().out
