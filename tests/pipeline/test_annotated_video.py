import pytest
from scripted import HUMAN, OBJECT, RIDE, make_frame, make_interactions

from edge_hoi.ingest import open_source
from edge_hoi.media import AnnotateSettings
from edge_hoi.pipeline.annotated_video import AnnotatedVideo
from edge_hoi.tracking import Tracker


@pytest.mark.parametrize(("score", "is_drawn"), [(0.55, False), (0.65, True)])
def test_only_what_reaches_the_level_is_drawn(tmp_path, score, is_drawn):
    path, tracker = tmp_path / "seen.mp4", Tracker()
    video = AnnotatedVideo(path, AnnotateSettings(min_score=0.6, strip_rows=0), 10.0)
    for index in range(5):
        frame = make_frame(index / 10, index=index)
        video.write(frame, tracker.update(frame, make_interactions([(HUMAN, OBJECT, RIDE, score)])), [])
    video.close()
    with open_source(str(path), source_id="seen") as source:
        pictures = [frame.image for frame in source]
    assert len(pictures) == 5
    assert bool(pictures[-1].max() > 100) is is_drawn  # the frames themselves are black
