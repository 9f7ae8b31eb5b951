"""Scripted detections for tests of tracking, events and delivery, at any frame rate."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np

from edge_hoi.compat import UTC
from edge_hoi.events import EpisodeKeeper, EpisodeSettings
from edge_hoi.tracking import Tracker
from edge_hoi.types import NO_OBJECT, ClockInfo, Event, Frame, Interactions, ModelInfo
from edge_hoi.vocabulary import HoiCategory, Vocabulary

WIDTH, HEIGHT = 640, 360
_IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


class StampedImage(np.ndarray):
    """An image with its camera and time, for scripted detectors."""

    camera = ""
    pts_seconds = 0.0


MODEL = ModelInfo(name="hoiclip", weights="0" * 64, engine="openvino", precision="fp32")

PERSON, BICYCLE, CUP, NOTHING = range(4)
RIDE, HOLD, DRINK, HUG, NO_INTERACTION, SMILE = range(6)
VOCABULARY = Vocabulary(
    name="scripted",
    objects=("person", "bicycle", "cup", "nothing"),
    object_prompts=("a photo of a person", "a photo of a bicycle", "a photo of a cup", "a photo of nobody", "a photo of nothing"),
    verbs=("ride", "hold", "drink_with", "hug", "no_interaction", "smile"),
    hois=tuple(
        HoiCategory(verb, object_id, text, f"a photo of a {text}")
        for verb, object_id, text in [
            (RIDE, BICYCLE, "person riding bicycle"),
            (HOLD, CUP, "person holding cup"),
            (DRINK, CUP, "person drinking with cup"),
            (HUG, PERSON, "person hugging person"),
            (NO_INTERACTION, BICYCLE, "person and bicycle"),
            (SMILE, NOTHING, "person smiling"),
        ]
    ),
    no_object_id=NOTHING,
    coco_category_ids=(1, 2, 47, None),
)

Box = Sequence[float]
Row = tuple[Box, Box | None, int, float]
"""Human box, object box or None, HOI id, score."""
Script = Callable[[float], Iterable[Row]]

HUMAN = (100.0, 100.0, 180.0, 300.0)
OBJECT = (90.0, 200.0, 200.0, 320.0)
FAR_HUMAN = (450.0, 100.0, 530.0, 300.0)
FAR_OBJECT = (440.0, 200.0, 550.0, 320.0)


def moved(box: Box, x: float = 0.0, y: float = 0.0) -> Box:
    return (box[0] + x, box[1] + y, box[2] + x, box[3] + y)


def make_frame(
    pts: float, *, index: int = 0, camera: str = "camera", captured_at: datetime | None = None, is_corrupt: bool = False, image=None
) -> Frame:
    clock = ClockInfo("media", "relative") if captured_at is None else ClockInfo("arrival", "estimated")
    image = _IMAGE if image is None else image
    image = image.view(StampedImage)
    image.camera, image.pts_seconds = camera, pts
    return Frame(image, pts, captured_at, clock, arrived_seconds=0.0, index=index, source_id=camera, is_corrupt=is_corrupt)


def make_interactions(rows: Iterable[Row]) -> Interactions:
    rows = sorted(rows, key=lambda row: -row[3])
    objects = [NO_OBJECT if box is None else VOCABULARY.hois[hoi].object_id for _, box, hoi, _ in rows]
    return Interactions(
        VOCABULARY,
        np.array([human for human, _, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([box or (0, 0, 0, 0) for _, box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array(objects, np.int64),
        np.array([hoi for _, _, hoi, _ in rows], np.int64),
        np.array([score for _, _, _, score in rows], np.float32),
    )


def times(fps: float, seconds: float, *, dropped: float = 0.0, seed: int = 0) -> list[float]:
    """Return the frames' times; `dropped` is the share of randomly dropped frames."""
    kept = np.random.default_rng(seed).random(round(seconds * fps)) >= dropped
    return [index / fps for index in np.flatnonzero(kept).tolist()]


def make_keeper(settings: EpisodeSettings | None = None, *, camera: str = "camera", **others) -> EpisodeKeeper:
    return EpisodeKeeper(VOCABULARY, site="site", camera=camera, model=MODEL, settings=settings, **others)


class EventPipeline:
    """The tracker and the episode keeper of one camera."""

    def __init__(self, settings: EpisodeSettings | None = None, *, camera: str = "camera", **others) -> None:
        self.tracker = Tracker()
        self.keeper = make_keeper(settings, camera=camera, **others)

    def update(self, frame: Frame, rows: Iterable[Row]) -> list[Event]:
        return self.keeper.update(frame, self.tracker.update(frame, make_interactions(rows)))


def play(
    script: Script, at: Iterable[float], pipeline: EventPipeline | None = None, *, corrupt: Callable[[float], bool] = lambda pts: False
) -> list[Event]:
    """Return a script's events at the given times; open episodes stay open."""
    pipeline = pipeline or EventPipeline()
    events = []
    for pts in at:
        events += pipeline.update(make_frame(pts, is_corrupt=corrupt(pts)), script(pts))
    return events


def at_noon(pts: float) -> datetime:
    return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=pts)
