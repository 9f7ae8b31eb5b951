"""Videos with ground truth, and their events: two people who stand apart, each with a bicycle, and a cup that one holds."""

import hashlib
from datetime import datetime, timedelta

import numpy as np

from edge_hoi.compat import UTC
from edge_hoi.events.cloudevents import render
from edge_hoi.lab.datasets.truth import Truth, TruthEpisode, TruthTrack, TruthVideo
from edge_hoi.types import ClockInfo, EndReason, EpisodeScore, Event, ModelInfo, Moment, Participant, Phase

WIDTH, HEIGHT, FPS, SECONDS = 200, 100, 10.0, 60
ANNA, BEN, HERS, HIS, CUP = range(1, 6)
BOXES = {
    ANNA: (20.0, 20.0, 40.0, 80.0),
    BEN: (120.0, 20.0, 140.0, 80.0),
    HERS: (10.0, 50.0, 60.0, 90.0),
    HIS: (110.0, 50.0, 160.0, 90.0),
    CUP: (35.0, 30.0, 45.0, 40.0),
}
NAMES = {ANNA: "person", BEN: "person", HERS: "bicycle", HIS: "bicycle", CUP: "cup"}


def episode(human=ANNA, item=HERS, verb="ride", start=10.0, end=20.0, difficulties=()):
    return TruthEpisode(human, item, verb, NAMES[item] if item else None, start, end, tuple(difficulties))


def still(category, box, frames=range(600)):
    """Make a track that does not move."""
    return TruthTrack(category, np.array(frames, np.int64), np.tile(np.array(box, np.float32), (len(frames), 1)))


def make_truth(*episodes, seconds=SECONDS, file="street.mp4", verbs=None, tracks=None):
    frames = round(seconds * FPS)
    usual = {track: still(NAMES[track], box, range(frames)) for track, box in BOXES.items()}
    video = TruthVideo(file, FPS, WIDTH, HEIGHT, frames, float(seconds))
    return Truth(video, usual | (tracks or {}), tuple(episodes), verbs)


def make_events(
    human=ANNA, item=HERS, verb="ride", start=10.0, end=20.0, *, emitted=None, updates=(), camera="street", ended=True, key=""
) -> list[dict]:
    """Make an episode's CloudEvents. `human` and `item` are tracks, boxes in pixels, or functions of time that return one of these."""
    name = hashlib.sha256(repr((human, item, verb, start, end, camera, key)).encode()).hexdigest()[:32]
    emitted = min(start + 0.5, end) if emitted is None else emitted
    category = None if item is None else NAMES.get(item(start) if callable(item) else item, "bicycle")

    def participant(who, category, seconds):
        who = who(seconds) if callable(who) else who
        box = np.array(BOXES.get(who, who)) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
        return Participant(1, category, tuple(box.tolist()), 0.9)

    steps = [(emitted, Phase.STARTED), *((each, Phase.UPDATED) for each in updates), *([(end, Phase.ENDED)] if ended else [])]
    return [
        render(
            Event(
                event_id=name,
                sequence=sequence,
                phase=phase,
                end_reason=EndReason.ABSENT if phase is Phase.ENDED else None,
                site="site",
                camera=camera,
                human=participant(human, "person", seconds),
                object=None if item is None else participant(item, category, seconds),
                verb=verb,
                hoi_id=0,
                text=f"person {verb} {category}",
                score=EpisodeScore(0.9, 0.9, 0.9),
                start=_moment(start),
                last=_moment(seconds),
                end=_moment(seconds) if phase is Phase.ENDED else None,
                duration_seconds=seconds - start,
                frames_seen=5,
                frames_missed=0,
                frame_width=WIDTH,
                frame_height=HEIGHT,
                clock=ClockInfo("media", "relative"),
                model=ModelInfo("hoiclip", "0" * 64, "openvino", "fp32"),
            )
        )
        for sequence, (seconds, phase) in enumerate(steps)
    ]


def as_predicted(truth_episode, **changes) -> list[dict]:
    """Make the events that equal the ground truth."""
    what = {
        "human": truth_episode.human,
        "item": truth_episode.object,
        "verb": truth_episode.verb,
        "start": truth_episode.start,
        "end": truth_episode.end,
    }
    return make_events(**what | changes)


def _moment(seconds: float) -> Moment:
    return Moment(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds), seconds)
