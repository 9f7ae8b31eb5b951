"""`edge-hoi tune`: from videos with ground truth to a file of thresholds."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from known_videos import episode, make_truth

from edge_hoi.cli.lab.tune import tune
from edge_hoi.config import load_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import ConfigError
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import TruthTrack, read_truth, truth_path, write_truth
from edge_hoi.media import VideoWriter

SECONDS = 8


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A folder with the begin of the embedded clip and its ground truth, twice."""
    folder = tmp_path_factory.mktemp("labelled")
    whole = read_truth(truth_path(DEMO_CLIP))
    count = round(SECONDS * whole.video.fps)
    tracks = {
        name: TruthTrack(each.category, each.frames[each.frames < count], each.boxes[each.frames < count])
        for name, each in whole.tracks.items()
        if np.any(each.frames < count)
    }
    episodes = tuple(replace(each, end=min(each.end, SECONDS)) for each in whole.episodes if each.start < SECONDS - 1)
    for name in ("a.mp4", "b.mp4"):
        with open_source(str(DEMO_CLIP), source_id="demo") as source:
            writer = VideoWriter(folder / name, whole.video.width, whole.video.height, whole.video.fps)
            with writer:
                for frame in source:
                    if frame.pts_seconds < SECONDS:
                        writer.write(frame.image, frame.pts_seconds)
        video = replace(whole.video, file=name, frames=count, duration_seconds=float(SECONDS))
        write_truth(replace(whole, video=video, tracks=tracks, episodes=episodes), truth_path(folder / name))
    return folder


@pytest.mark.slow
def test_thresholds_are_chosen_and_told_with_what_to_expect(labelled, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra: pip install '.[train]'")
    output, plot = tmp_path / "thresholds.yaml", tmp_path / "thresholds.png"
    tune(labelled, output, engine="default", folds=2, plot=plot)
    lines = capsys.readouterr().out.splitlines()
    f1 = {line.partition(" F1 ")[0].strip(): float(line.partition(" F1 ")[2].split(",")[0]) for line in lines if " F1 " in line}
    # Both videos are the same, so the thresholds of one are as good for the other.
    assert f1["chosen, cross-validated"] == f1["chosen, on the same videos"] >= f1["as configured"] > 0.5
    episodes = load_config(output).episodes
    assert 0.3 <= episodes.enter <= 0.95
    assert episodes.leave == pytest.approx(0.85 * episodes.enter, abs=1e-3)
    assert cv2.imread(str(plot)) is not None


def test_more_folds_than_videos_are_refused_before_anything_runs(tmp_path):
    (tmp_path / "street.mp4").touch()
    write_truth(make_truth(episode()), tmp_path / "street.truth.json")
    with pytest.raises(ConfigError, match="4 folds need as many videos, found 1"):
        tune(tmp_path, tmp_path / "thresholds.yaml")
    assert not (tmp_path / "thresholds.yaml").exists()
