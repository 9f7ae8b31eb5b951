"""`Interactions`: the human-object interactions of one image, as arrays and as rows."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from edge_hoi.errors import MissingDependencyError
from edge_hoi.vocabulary import NO_INTERACTION, Vocabulary

if TYPE_CHECKING:
    import pandas
    import supervision


Boxes = NDArray[np.float32]

Ids = NDArray[np.int64]

Scores = NDArray[np.float32]

HUMAN_CATEGORY = "person"

_ROWS_IN_REPR = 5

NO_OBJECT = -1
"""`object_category_ids` value of an interaction that has no object ("person smiling"); its object box is all zero."""

Box = tuple[float, float, float, float]
"""xyxy."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One human-object interaction of one image: a row of `Interactions`.

    Attributes:
        text: "person riding bicycle".
        verb: Name in the vocabulary, "ride"; `no_interaction` for a person who does not interact with the object.
        object: Name in the vocabulary; None for an interaction without an object.
        hoi_id: Index into the vocabulary's HOI categories.
        score: In [0, 1].
        human_box: xyxy in pixels of the image.
        object_box: xyxy in pixels; None without an object.
        human_id: Track id of the person; None without tracking.
        object_id: Track id of the object; None without tracking or without an object.
    """

    text: str
    verb: str
    object: str | None
    hoi_id: int
    score: float
    human_box: Box
    object_box: Box | None
    human_id: int | None = None
    object_id: int | None = None

    @property
    def is_interaction(self) -> bool:
        """False for the verb `no_interaction`."""
        return self.verb != NO_INTERACTION

    def to_dict(self) -> dict[str, Any]:
        """Return a form for JSON: scores with 4 digits, boxes with 1; track ids only where there are any."""
        fields: dict[str, Any] = {
            "text": self.text,
            "verb": self.verb,
            "is_interaction": self.is_interaction,
            "object": self.object,
            "hoi_id": self.hoi_id,
            "score": round(self.score, 4),
            "human_box": [round(edge, 1) for edge in self.human_box],
            "object_box": self.object_box and [round(edge, 1) for edge in self.object_box],
        }
        if self.human_id is not None:
            fields |= {"human_id": self.human_id, "object_id": self.object_id}
        return fields


@dataclass(frozen=True, slots=True, repr=False)
class Interactions:
    """The human-object interactions of one image, best first; iterating gives `Interaction` rows.

    Attributes:
        vocabulary: The vocabulary of the ids.
        human_boxes: `(N, 4)` float32 xyxy in pixels of the image.
        object_boxes: `(N, 4)` float32 xyxy in pixels of the image.
        object_category_ids: `(N,)` int64 index into the vocabulary's objects, or `NO_OBJECT`.
        hoi_ids: `(N,)` int64 index into the vocabulary's HOI categories.
        scores: `(N,)` float32 in [0, 1].
    """

    vocabulary: Vocabulary
    human_boxes: Boxes
    object_boxes: Boxes
    object_category_ids: Ids
    hoi_ids: Ids
    scores: Scores

    def __post_init__(self) -> None:
        """Check shapes and types."""
        count = len(self.scores)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "human_boxes": ((count, 4), np.float32),
            "object_boxes": ((count, 4), np.float32),
            "object_category_ids": ((count,), np.int64),
            "hoi_ids": ((count,), np.int64),
            "scores": ((count,), np.float32),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"Interactions.{name} is {shape} {np.dtype(dtype)}, got {array.shape} {array.dtype}")

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Interaction]:
        return (self[row] for row in range(len(self)))

    @overload
    def __getitem__(self, row: int) -> Interaction: ...

    @overload
    def __getitem__(self, row: slice | NDArray[Any]) -> Self: ...

    def __getitem__(self, row: int | slice | NDArray[Any]) -> Interaction | Self:
        if isinstance(row, slice | np.ndarray):
            return self.select(row)
        return self._row(row)

    def _row(self, row: int) -> Interaction:
        hoi = self.vocabulary.hois[self.hoi_ids[row]]
        category = int(self.object_category_ids[row])
        return Interaction(
            text=hoi.text,
            verb=self.vocabulary.verbs[hoi.verb_id],
            object=None if category == NO_OBJECT else self.vocabulary.objects[category],
            hoi_id=int(self.hoi_ids[row]),
            score=float(self.scores[row]),
            human_box=_box(self.human_boxes[row]),
            object_box=None if category == NO_OBJECT else _box(self.object_boxes[row]),
        )

    def __repr__(self) -> str:
        shown = [f"{one.text} {one.score:.2f}" for one in islice(self, _ROWS_IN_REPR)]
        more = len(self) - len(shown)
        return f"{type(self).__name__}({len(self)}: {'; '.join(shown)}{f'; and {more} more' if more else ''})".replace(": )", ")")

    @classmethod
    def empty(cls, vocabulary: Vocabulary) -> "Interactions":
        """Return zero interactions."""
        boxes = np.zeros((0, 4), np.float32)
        ids = np.zeros(0, np.int64)
        return Interactions(vocabulary, boxes, boxes, ids, ids, np.zeros(0, np.float32))

    def select(self, rows: NDArray[Any] | slice) -> Self:
        """Return these rows: indices, a boolean mask over N, or a slice."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        selected: dict[str, Any] = {name: column[rows] for name, column in columns.items() if isinstance(column, np.ndarray)}
        return replace(self, **selected)

    def to_dict(self) -> dict[str, Any]:
        """Return a form for JSON: `{"interactions": [...]}`, each as `Interaction.to_dict`."""
        return {"interactions": [one.to_dict() for one in self]}

    def to_json(self) -> str:
        """Return `to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a table with a row for each interaction and the fields of `Interaction` as columns.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError("to_pandas needs pandas; pip install pandas") from error
        table: pandas.DataFrame = pandas.DataFrame([asdict(one) for one in self], columns=[field.name for field in fields(Interaction)])
        return table

    def to_supervision(self) -> "supervision.Detections":
        """Return the boxes as `supervision.Detections`: first those of the N people, then those of the objects.

        `data` has for each box the `class_name`, its `role` (human or object), and the `text` and row (`interaction`) it belongs to.

        Raises:
            MissingDependencyError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingDependencyError("to_supervision needs supervision; pip install supervision") from error
        rows = list(self)
        people = [(row, "human", HUMAN_CATEGORY, one.human_box, one.human_id) for row, one in enumerate(rows)]
        objects = [(row, "object", one.object, one.object_box, one.object_id) for row, one in enumerate(rows) if one.object_box]
        boxes = people + objects
        names = sorted({HUMAN_CATEGORY, *self.vocabulary.objects})
        is_tracked = any(one.human_id is not None for one in rows)
        return supervision.Detections(
            xyxy=np.array([box for *_, box, _ in boxes], np.float32).reshape(-1, 4),
            confidence=np.array([rows[row].score for row, *_ in boxes], np.float32),
            class_id=np.array([names.index(str(name)) for _, _, name, _, _ in boxes], int),
            tracker_id=np.array([track for *_, track in boxes], int) if is_tracked else None,
            data={
                "class_name": np.array([name for _, _, name, _, _ in boxes], str),
                "role": np.array([role for _, role, *_ in boxes], str),
                "text": np.array([rows[row].text for row, *_ in boxes], str),
                "interaction": np.array([row for row, *_ in boxes], int),
            },
        )


def _box(row: Boxes) -> Box:
    left, top, right, bottom = row.tolist()
    return left, top, right, bottom
