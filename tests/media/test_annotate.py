from dataclasses import replace

import numpy as np
import pytest

from edge_hoi.errors import ConfigError
from edge_hoi.media import AnnotateSettings, EpisodeLine, annotate
from edge_hoi.media.canvas import DARK, GREY, PALETTE, WHITE, colour_of, text_colour_of
from edge_hoi.types import NO_OBJECT, NO_TRACK, Boxes, ClockInfo, Frame, Image, Interactions, Track, TrackedInteractions, TrackState
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

MID = 128
Row = tuple[int, tuple[float, ...], int, tuple[float, ...], str, float]
RIDE: Row = (3, (100, 60, 140, 150), 5, (90, 100, 160, 160), "person riding bicycle", 0.87)
CORNERS = [(0, 0, 40, 60), (280, 0, 320, 60), (0, 132, 40, 192), (280, 132, 320, 192), (-20, -20, 400, 300), (-90, -90, -10, -10)]


@pytest.fixture(scope="module")
def hico() -> Vocabulary:
    return load_vocabulary("hico_det")


def blank(width: int = 320, height: int = 192) -> Image:
    return np.full((height, width, 3), MID, np.uint8)


def frame_of(image: Image) -> Frame:
    return Frame(image, 1.0, None, ClockInfo("media", "relative"), 0.0, 0, "camera")


def hoi_id(vocabulary: Vocabulary, text: str) -> int:
    return next(index for index, hoi in enumerate(vocabulary.hois) if hoi.text == text)


def interactions_of(rows: list[Row], vocabulary: Vocabulary) -> Interactions:
    hois = np.array([hoi_id(vocabulary, row[4]) for row in rows], np.int64)
    objects = [NO_OBJECT if row[2] == NO_TRACK else vocabulary.hois[hoi].object_id for row, hoi in zip(rows, hois, strict=True)]
    boxes = [np.array([row[column] for row in rows], np.float32).reshape(-1, 4) for column in (1, 3)]
    return Interactions(vocabulary, *boxes, np.array(objects, np.int64), hois, np.array([row[5] for row in rows], np.float32))


def tracked_of(rows: list[Row], vocabulary: Vocabulary, track_boxes: dict[int, Boxes] | None = None) -> TrackedInteractions:
    ids = (np.array([row[column] for row in rows], np.int64) for column in (0, 2))
    tracks = {key: Track(key, True, NO_OBJECT, box, 0.9, 0.0, 1.0, TrackState.CONFIRMED) for key, box in (track_boxes or {}).items()}
    return TrackedInteractions.of(interactions_of(rows, vocabulary), *ids, tracks)


def has(image: Image, colour: tuple[int, int, int]) -> bool:
    return bool((image == np.array(colour)).all(axis=2).any())


def test_frame_is_not_modified_and_the_strip_is_added(hico: Vocabulary) -> None:
    frame = frame_of(blank())
    image = annotate(frame, tracked_of([RIDE], hico), [EpisodeLine(3, "person #3 riding bicycle #5", 12.4, 0.9, True)])
    assert (frame.image == MID).all()
    assert image.shape[0] > 192
    assert image.shape[0] % 2 == 0
    assert image.shape[1:] == (320, 3)


def test_read_only_frames_can_be_annotated(hico: Vocabulary) -> None:
    image = blank()
    image.flags.writeable = False
    assert has(annotate(frame_of(image), tracked_of([RIDE], hico), []), colour_of(3))
    assert has(annotate(image, interactions_of([RIDE], hico)), colour_of(0))


def test_no_interactions_leave_the_image_unchanged_and_the_strip_empty(hico: Vocabulary) -> None:
    image = annotate(frame_of(blank()), tracked_of([], hico), [])
    assert (image[:192] == MID).all()
    assert (image[192:] == DARK).all()
    assert (annotate(blank(), Interactions.empty(hico)) == MID).all()


def test_size_does_not_depend_on_the_interactions(hico: Vocabulary) -> None:
    lines = [EpisodeLine(index, "person holding cup", 1.0, 0.5, True) for index in range(20)]
    full = annotate(frame_of(blank()), tracked_of([RIDE], hico), lines)
    assert full.shape == annotate(frame_of(blank()), tracked_of([], hico), []).shape
    bare = annotate(frame_of(blank()), tracked_of([RIDE], hico), lines, AnnotateSettings(strip_rows=0))
    assert bare.shape == (192, 320, 3)


@pytest.mark.parametrize("box", CORNERS)
def test_boxes_at_every_corner_draw_inside_of_the_image_only(hico: Vocabulary, box: tuple[int, ...]) -> None:
    rows = [(3, box, 5, box, "person riding bicycle", 0.9), (3, box, 5, box, "person sitting on bicycle", 0.8)]
    image = annotate(frame_of(blank()), tracked_of(rows, hico), [])
    assert (image[192:] == DARK).all()
    assert has(image[:192], colour_of(3))


@pytest.mark.parametrize(("width", "height"), [(16, 16), (33, 21), (320, 192), (1920, 1080)])
def test_images_of_every_size_can_be_annotated(hico: Vocabulary, width: int, height: int) -> None:
    image = annotate(frame_of(blank(width, height)), tracked_of([RIDE], hico), [EpisodeLine(3, "riding", 1.0, 0.5, True)])
    assert image.shape[1] == width
    assert not (image[:height] == MID).all()


OPEN = EpisodeLine(3, "person #3 riding bicycle #5", 4.0, 0.8, True, 5, "person riding bicycle")


def test_person_and_object_have_the_colour_of_the_person(hico: Vocabulary) -> None:
    image = annotate(frame_of(blank()), tracked_of([RIDE], hico))
    assert tuple(image[150, 120]) == colour_of(3)  # the lower edge of the person's box
    assert tuple(image[160, 92]) == colour_of(3)  # the lower left corner of the object's
    assert tuple(image[160, 125]) == (MID, MID, MID)  # which is open between its corners


def test_colour_of_a_track_does_not_change(hico: Vocabulary) -> None:
    assert [colour_of(track_id) for track_id in range(1, 8)] == [colour_of(track_id) for track_id in range(8, 15)]
    assert len({colour_of(track_id) for track_id in range(1, 8)}) == len(PALETTE)
    other: Row = (1, (450, 200, 490, 300), 2, (450, 250, 500, 310), "person riding horse", 0.95)
    assert colour_of(5) != colour_of(3) != colour_of(1)
    alone = annotate(frame_of(blank(640, 384)), tracked_of([RIDE], hico), [])
    both = annotate(frame_of(blank(640, 384)), tracked_of([other, RIDE], hico), [])
    assert tuple(alone[150, 120]) == tuple(both[150, 120]) == colour_of(3)


def test_a_person_has_the_colour_that_is_given(hico: Vocabulary) -> None:
    image = annotate(frame_of(blank()), tracked_of([RIDE], hico), [OPEN], colours={3: PALETTE[5]})
    assert {colour for colour in PALETTE if has(image, colour)} == {PALETTE[5]}
    assert tuple(image[150, 120]) == tuple(image[160, 92]) == PALETTE[5]


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({}, True),
        ({"is_open": False}, False),
        ({"track_id": 4}, False),
        ({"object_id": 6}, False),
        ({"interaction": "person repairing bicycle"}, False),
    ],
)
def test_an_interaction_without_an_open_episode_is_grey(hico: Vocabulary, changes: dict[str, object], is_open: bool) -> None:
    image = annotate(frame_of(blank()), tracked_of([RIDE], hico), [replace(OPEN, **changes)], AnnotateSettings(strip_rows=0))  # type: ignore[arg-type]
    assert tuple(image[150, 120]) == colour_of(3)  # the person's box
    assert tuple(image[160, 92]) == (colour_of(3) if is_open else GREY)  # the object's
    assert has(image, WHITE) is is_open  # the label
    assert has(image, GREY) is not is_open


def test_the_interactions_of_open_episodes_are_drawn_before_better_candidates(hico: Vocabulary) -> None:
    rows: list[Row] = [(*RIDE[:4], f"person {verb} bicycle", 0.9 + number / 100) for number, verb in enumerate(("holding", "repairing"))]
    settings = AnnotateSettings(max_verbs=1, strip_rows=0)
    both, alone = (annotate(blank(), tracked_of(each, hico), [OPEN], settings) for each in ([RIDE, *rows], [RIDE]))
    assert (both == alone).all()


def test_link_of_a_candidate_is_grey(hico: Vocabulary) -> None:
    apart: Row = (3, (20, 60, 60, 150), 5, (240, 90, 300, 120), "person holding kite", 0.9)
    image = annotate(frame_of(blank()), tracked_of([apart], hico), [])
    assert np.abs(image[105, 150].astype(int) - GREY).max() < 30


def test_box_of_the_track_is_drawn_instead_of_the_detection(hico: Vocabulary) -> None:
    tracked = tracked_of([RIDE], hico, {3: np.array([40, 60, 80, 150], np.float32)})
    image = annotate(frame_of(blank()), tracked, [])
    assert tuple(image[150, 60]) == colour_of(3)
    assert tuple(image[150, 135]) == (MID, MID, MID)


def test_link_joins_person_and_object(hico: Vocabulary) -> None:
    apart: Row = (3, (20, 60, 60, 150), 5, (240, 90, 300, 120), "person holding kite", 0.9)
    image = annotate(frame_of(blank()), tracked_of([apart], hico))
    assert np.abs(image[105, 150].astype(int) - colour_of(3)).max() < 30


def test_interaction_without_object_has_no_object_box_and_no_link() -> None:
    vocabulary = load_vocabulary("vcoco")
    smile: Row = (3, (150, 60, 190, 150), NO_TRACK, (0, 0, 0, 0), "person smiling", 0.9)
    image = annotate(frame_of(blank()), tracked_of([smile], vocabulary), [])
    assert has(image[:192], colour_of(3))
    assert (image[:50, :100] == MID).all()
    assert (image[80:140, 160:180] == MID).all()
    single = annotate(blank(), interactions_of([smile], vocabulary))
    assert (single[:50, :100] == MID).all()


def test_weak_interactions_and_no_interaction_are_not_drawn(hico: Vocabulary) -> None:
    weak = (*RIDE[:5], 0.1)
    nothing: Row = (*RIDE[:4], "person and bicycle", 0.9)
    for row in (weak, nothing):
        assert (annotate(frame_of(blank()), tracked_of([row], hico), [])[:192] == MID).all()
        assert (annotate(blank(), interactions_of([row], hico)) == MID).all()


def test_only_the_best_pairs_and_verbs_are_drawn(hico: Vocabulary) -> None:
    far: Row = (1, (250, 60, 290, 150), 2, (250, 100, 300, 160), "person riding horse", 0.5)
    more: Row = (*RIDE[:4], "person sitting on bicycle", 0.4)
    settings = AnnotateSettings(max_pairs=1, max_verbs=1)
    limited = annotate(frame_of(blank()), tracked_of([RIDE, far, more], hico), [], settings)
    assert (limited == annotate(frame_of(blank()), tracked_of([RIDE], hico), [])).all()
    assert (limited != annotate(frame_of(blank()), tracked_of([RIDE, more], hico), [])).any()


def test_repeated_detections_of_one_pair_are_drawn_once_without_tracks(hico: Vocabulary) -> None:
    shifted = [(3, tuple(np.add(RIDE[1], shift)), 5, tuple(np.add(RIDE[3], shift)), RIDE[4], 0.8 - shift / 10) for shift in (1, 2, 3)]
    once = annotate(blank(), interactions_of([RIDE], hico))
    assert (annotate(blank(), interactions_of([RIDE, *shifted], hico)) == once).all()


def test_person_in_both_roles_has_one_box(hico: Vocabulary) -> None:
    first, second = (40, 60, 80, 150), (200, 60, 240, 150)
    rows = [(1, first, 2, second, "person hugging person", 0.9), (2, second, 1, first, "person hugging person", 0.8)]
    image = annotate(blank(), interactions_of(rows, hico))
    drawn = {colour for colour in PALETTE if has(image, colour)}
    assert drawn == {colour_of(0), colour_of(1)}


def test_strip_shows_open_episodes_in_colour_and_ended_ones_in_grey(hico: Vocabulary) -> None:
    def strip(*lines: EpisodeLine) -> Image:
        return annotate(frame_of(blank()), tracked_of([], hico), lines)[192:]

    still_open, ended = (EpisodeLine(3, "person #3 riding bicycle #5", 4.0, 0.8, is_open) for is_open in (True, False))
    assert has(strip(still_open), colour_of(3))
    assert not has(strip(ended), colour_of(3))
    assert has(strip(ended), GREY)


def test_bar_grows_with_the_score(hico: Vocabulary) -> None:
    def coloured(score: float) -> int:
        strip = annotate(frame_of(blank()), tracked_of([], hico), [EpisodeLine(3, "", 4.0, score, True)])[192:]
        return int((strip == np.array(colour_of(3))).all(axis=2).sum())

    assert coloured(0.0) < coloured(0.4) < coloured(1.0)


def test_surplus_episodes_are_counted_in_the_last_row(hico: Vocabulary) -> None:
    lines = [EpisodeLine(index, "person holding cup", 1.0, 0.5, True) for index in range(9)]
    strip = annotate(frame_of(blank()), tracked_of([], hico), lines)[192:]
    assert [has(strip, colour_of(index)) for index in range(3)] == [True, True, False]


def test_text_on_a_dark_panel_has_enough_contrast() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:
        linear = [value / 3294.6 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in PALETTE:  # WCAG 2.2, success criterion 1.4.3
        assert (luminance(text_colour_of(colour)) + 0.05) / (luminance(DARK) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("photo.jpg", "got str"),
        (np.zeros((48, 64), np.uint8), "got .48, 64. uint8"),
        (np.zeros((48, 64, 4), np.uint8), "got .48, 64, 4. uint8"),
        (np.zeros((48, 64, 3)), "got .48, 64, 3. float64"),
    ],
)
def test_what_is_no_image_is_refused(hico: Vocabulary, image: Image, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        annotate(image, Interactions.empty(hico))


def test_what_are_no_interactions_is_refused() -> None:
    with pytest.raises(ConfigError, match="got list"):
        annotate(blank(), [])  # type: ignore[arg-type]
