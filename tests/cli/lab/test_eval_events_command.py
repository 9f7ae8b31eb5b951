"""`eval events`: a file of events, or whole videos, against ground truth."""

import json

import cv2
import numpy as np
import pytest
from known_videos import BEN, HIS, as_predicted, episode, make_events, make_truth

from edge_hoi.cli import main
from edge_hoi.cli.lab.eval import app
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import ConfigError, DatasetError, SourceError
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import Truth, TruthEpisode, TruthTrack, TruthVideo, write_truth
from edge_hoi.lab.evaluation.events import predicted_episodes, read_events
from edge_hoi.media import VideoWriter

LOW_THRESHOLDS = """
# Emit an event for everything.
detection: {score_threshold: 0.0}
tracking: {new_track_threshold: 0.0}
episodes: {enter: 0.05, leave: 0.04, min_duration_seconds: 0.2}
"""
OTHER_SOURCES = "sources: [{url: not-used.mp4}]\n"
FRAMES, FPS = 45, 15


def evaluate(*arguments):
    app(["events", *map(str, arguments)], standalone_mode=False)


def write_events(path, *episodes):
    path.write_text("".join(json.dumps(event) + "\n" for events in episodes for event in events))
    return path


@pytest.fixture(scope="module")
def ran_videos(tmp_path_factory):
    """A folder with a short clip, a run's events, and a ground truth that equals the run's longest episode."""
    folder = tmp_path_factory.mktemp("videos")
    with open_source(str(DEMO_CLIP), source_id="demo") as source, VideoWriter(folder / "clip.mp4", 384, 224, FPS) as writer:
        for index, frame in zip(range(FRAMES), source, strict=False):
            writer.write(cv2.resize(frame.image, (384, 224)), index / FPS)
    (folder / "config.yaml").write_text(LOW_THRESHOLDS + OTHER_SOURCES)
    (folder / "demo.yaml").write_text(LOW_THRESHOLDS)
    run = ["run", "--source", str(folder / "clip.mp4"), "--events", str(folder / "events.jsonl"), str(folder / "config.yaml")]
    with pytest.raises(SystemExit) as ended:
        main(run)
    assert ended.value.code == 0
    predicted = predicted_episodes(read_events(folder / "events.jsonl"))
    longest = max((each for each in predicted if each.object_name), key=lambda each: (each.end - each.start, each.event_id))
    write_truth(truth_of(longest), folder / "clip.truth.json")
    return folder


def truth_of(predicted) -> Truth:
    """Make a ground truth of an episode's last event."""
    last, size = predicted.observations[-1], np.array([384, 224, 384, 224])
    tracks = {
        number: TruthTrack(category, np.arange(FRAMES), np.tile(np.array(box * size, np.float32), (FRAMES, 1)))
        for number, category, box in ((1, "person", np.array(last.human)), (2, predicted.object_name, np.array(last.object)))
    }
    longest = TruthEpisode(1, 2, predicted.verb, predicted.object_name, predicted.start, predicted.end, ("crossing",))
    video = TruthVideo("clip.mp4", float(FPS), 384, 224, FRAMES, FRAMES / FPS)
    return Truth(video, tracks, (longest,), verbs=(predicted.verb,))


def test_a_file_of_events_is_compared_with_ground_truth(capsys, tmp_path):
    write_truth(make_truth(episode(start=10, end=20), episode(BEN, HIS, start=30, end=40)), tmp_path / "street.truth.json")
    events = write_events(
        tmp_path / "events.jsonl", make_events(start=10.2, end=20, emitted=10.9), make_events(verb="push", start=1, end=2)
    )
    evaluate("--events", events, "--truth", tmp_path / "street.truth.json", "--output", tmp_path / "out.json")
    printed = capsys.readouterr().out
    assert "Events: 1 videos, 1.0 minutes" in printed
    assert "Ground truth of street: 1 of 2 episodes found" in printed
    document = json.loads((tmp_path / "out.json").read_text())
    overall = document["results"]["overall"]
    assert (overall["ground_truth"], overall["found"], overall["predicted"], overall["f1"]) == (2, 1, 2, 0.5)
    assert overall["start_delay"]["median"] == pytest.approx(0.2)
    assert overall["emit_delay"]["median"] == pytest.approx(0.9)
    assert [each["is_found"] for each in document["videos"][0]["ground_truth"]] == [True, False]


def test_cameras_are_matched_with_videos_by_name(capsys, tmp_path):
    for name in ("street", "yard"):
        write_truth(make_truth(episode(), file=f"{name}.mp4"), tmp_path / f"{name}.truth.json")
    truths = ["--truth", tmp_path / "street.truth.json", "--truth", tmp_path / "yard.truth.json"]
    events = write_events(tmp_path / "events.jsonl", as_predicted(episode(), camera="street"), as_predicted(episode(), camera="yard"))
    evaluate("--events", events, *truths, "--output", tmp_path / "out.json")
    overall = json.loads((tmp_path / "out.json").read_text())["results"]["overall"]
    assert (overall["ground_truth"], overall["found"], overall["duplicates"]) == (2, 2, 0)
    write_events(events, as_predicted(episode(), camera="street"), as_predicted(episode(), camera="door"))
    with pytest.raises(ConfigError, match="holds events of the camera door, expected those of street, yard"):
        evaluate("--events", events, *truths)
    with pytest.raises(ConfigError, match="holds events of the camera door"):
        evaluate("--events", events, *truths[:2])
    with pytest.raises(ConfigError, match="videos with the same name"):
        evaluate("--events", events, *truths, *truths)


def test_a_camera_of_any_name_goes_with_the_only_ground_truth(capsys, tmp_path):
    write_truth(make_truth(episode()), tmp_path / "street.truth.json")
    events = write_events(tmp_path / "events.jsonl", as_predicted(episode(), camera="door"))
    evaluate("--events", events, "--truth", tmp_path / "street.truth.json")
    assert "1 of 1 episodes found" in capsys.readouterr().out
    evaluate("--events", write_events(events), "--truth", tmp_path / "street.truth.json")
    assert "0 of 1 episodes found" in capsys.readouterr().out


@pytest.mark.slow
def test_running_videos_and_reading_their_events_have_equal_results(capsys, ran_videos, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: pip install '.[train]'")
    output, plot = tmp_path / "ran.json", tmp_path / "timeline.png"
    evaluate("--videos", ran_videos, "--config", ran_videos / "config.yaml", "--output", output, "--plot", plot)
    captured = capsys.readouterr()
    assert captured.err.count("was trained on rendered images only") == 1
    assert f"{FRAMES} frames of 1 videos" in captured.out
    ran = json.loads(output.read_text())
    assert ran["results"]["overall"]["found"] == 1
    assert ran["frames"] == FRAMES
    assert ran["frames_per_second"] > 0
    assert ran["engine"]["name"]
    assert cv2.imread(str(plot)) is not None
    evaluate("--events", ran_videos / "events.jsonl", "--truth", ran_videos / "clip.truth.json", "--output", output)
    filed = json.loads(output.read_text())
    for part in ("results", "videos"):
        assert ran[part] == filed[part]


def test_the_embedded_clip_is_compared_with_its_ground_truth(capsys, ran_videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edge_hoi.demo.DEMO_CLIP", ran_videos / "clip.mp4")
    for arguments, is_compared in (([], True), (["--max-frames", "5"], False)):
        with pytest.raises(SystemExit) as ended:
            main(["run", *arguments, str(ran_videos / "demo.yaml")])
        assert ended.value.code == 0
        assert ("1 of 1 episodes found" in capsys.readouterr().err) == is_compared


def test_an_unreadable_video_is_an_error(tmp_path):
    (tmp_path / "street.mp4").write_text("no video")
    write_truth(make_truth(episode()), tmp_path / "street.truth.json")
    with pytest.raises(SourceError, match=r"street\.mp4"):
        evaluate("--videos", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], ConfigError, "expected --events FILE with --truth FILE, or --videos FOLDER"),
        (["--events", "e.jsonl"], ConfigError, "give one or the other"),
        (["--events", "e.jsonl", "--truth", "t.json", "--engine", "default"], ConfigError, "give one or the other"),
        (["--events", "e.jsonl", "--truth", "t.json", "--videos", "."], ConfigError, "give one or the other"),
        (["--events", "e.jsonl", "--truth", "t.json"], DatasetError, "t.json: No such file|cannot read t.json"),
        (["--videos", "no-such-folder"], DatasetError, "expected a folder of videos, found none"),
        (["--videos", "."], DatasetError, r"found no \*\.truth\.json"),
        (["--videos", ".", "--output", "no/such/out.json"], ConfigError, "there is no folder no/such"),
        (["--videos", ".", "--plot", "timeline.gif"], ConfigError, "suffix .png"),
    ],
)
def test_invalid_options_are_refused_before_anything_runs(tmp_path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        evaluate(*arguments)


def test_a_ground_truth_without_its_video_is_an_error(tmp_path):
    write_truth(make_truth(episode()), tmp_path / "street.truth.json")
    with pytest.raises(DatasetError, match=r"street\.mp4 is missing"):
        evaluate("--videos", tmp_path)
