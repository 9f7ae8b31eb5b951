"""A sheet that shows all activities with boxes and names."""

from collections.abc import Sequence

import cv2
import numpy as np

from edge_hoi.lab.synthetic.activities import ACTIVITIES
from edge_hoi.lab.synthetic.image_sets import world_vocabulary
from edge_hoi.lab.synthetic.stills import HEIGHT, WIDTH, Still, draw_still
from edge_hoi.media import annotate
from edge_hoi.types import Image, Interactions
from edge_hoi.vocabulary import Vocabulary

SHEET_SEED = 200
_TRIES = 40


def shown_activities() -> tuple[str, ...]:
    """List the activities with an object that training images show."""
    return tuple(name for name, activity in ACTIVITIES.items() if " " in name and not activity.is_held_out)


def draw_sheet(*, seed: int = 0, columns: int = 6, width: int = 1800, activities: Sequence[str] | None = None) -> Image:
    """Draw each activity once, row by row; all of `shown_activities()` if not given.

    Returns:
        `(H, width, 3)` uint8 RGB; H follows from the images' aspect. Unused cells are black.
    """
    cell_width = width // columns
    cell_height = cell_width * HEIGHT // WIDTH
    names = shown_activities() if activities is None else activities
    sheet = np.zeros((-(-len(names) // columns) * cell_height, width, 3), np.uint8)
    vocabulary = world_vocabulary()
    for number, name in enumerate(names):
        row, column = divmod(number, columns)
        cell = _cell(_still_of(name, (SHEET_SEED, seed, number)), vocabulary, cell_width, cell_height)
        sheet[row * cell_height : (row + 1) * cell_height, column * cell_width : (column + 1) * cell_width] = cell
    return sheet


def _still_of(name: str, seed: tuple[int, ...]) -> Still:
    """Search for an image of few people in which the first one's activity is visible."""
    still = draw_still((*seed, 0), must_show=(name,))
    for attempt in range(1, _TRIES):
        first = min(still.activities)
        if len(still.activities) <= 2 and any(one.human == first and one.verb in name.split() for one in still.interactions):
            break
        still = draw_still((*seed, attempt), must_show=(name,))
    return still


def _cell(still: Still, vocabulary: Vocabulary, width: int, height: int) -> Image:
    image = cv2.resize(still.image, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
    ids = {(vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]): hoi_id for hoi_id, hoi in enumerate(vocabulary.hois)}
    visible = still.scene.visible
    rows = [(one, ids.get((one.verb, visible[one.object].category))) for one in still.interactions]
    known = [(visible[one.human].box, visible[one.object].box, hoi_id) for one, hoi_id in rows if hoi_id is not None]
    hoi_ids = np.array([hoi_id for _, _, hoi_id in known], np.int64)
    scale = np.float32(width / still.image.shape[1])
    humans, objects = (
        np.array(boxes, np.float32).reshape(-1, 4) * scale for boxes in ([row[0] for row in known], [row[1] for row in known])
    )
    interactions = Interactions(vocabulary, humans, objects, vocabulary.object_ids[hoi_ids], hoi_ids, np.ones(len(known), np.float32))
    return annotate(image, interactions)
