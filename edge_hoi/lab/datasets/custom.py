"""Custom data sets: a folder with images and `annotations.json`.

    {"images": [
        {"file": "yard/a.jpg", "interactions": [
            {"human": [10, 20, 110, 220], "object": [60, 120, 180, 230], "text": "person riding bicycle"},
            {"human": [10, 20, 110, 220], "object": null, "verb": "wear", "object_name": "helmet"}
        ]},
        {"file": "yard/b.jpg", "interactions": []}
    ]}

Boxes are left, top, right, bottom in pixels of the upright image; `null` where the object is not visible. An image without
interactions is a negative example. `text`, or `verb` and `object_name`, name the category as in a vocabulary file
(`edge_hoi.vocabulary.custom`). An optional `vocabulary.yaml` lists all categories and their prompts; without it the vocabulary is the
annotated categories, in the order of first occurrence. An optional `zero_shot.yaml` lists each zero-shot split's unseen categories:

    new_objects: [person riding bicycle, {verb: wear, object: helmet}]
"""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge_hoi.errors import DatasetError, VocabularyError
from edge_hoi.lab.datasets.annotations import AnnotatedImages, HoiAnnotation, check_command, find_image
from edge_hoi.lab.datasets.box_checks import clip_box
from edge_hoi.lab.datasets.files import as_boxes, as_file_name, as_list, as_mapping, check_keys, read_image_list, reading
from edge_hoi.lab.datasets.images import read_image_size
from edge_hoi.regular_file import read_regular
from edge_hoi.vocabulary import Vocabulary, load_vocabulary
from edge_hoi.vocabulary.custom import parse_custom
from edge_hoi.vocabulary.data_files import MAX_BYTES, parse_yaml

ANNOTATIONS, VOCABULARY, ZERO_SHOT = "annotations.json", "vocabulary.yaml", "zero_shot.yaml"
_KEYS = ("human", "object", "text", "verb", "object_name")


def read_custom(folder: Path, *, split: str = "train") -> AnnotatedImages:
    """Read a custom data set's annotations and its images' sizes.

    Args:
        folder: With the images, `annotations.json` and perhaps `vocabulary.yaml`.
        split: Split that it is used as.

    Raises:
        DatasetError: A file is missing or damaged, or an entry is invalid.
        VocabularyError: `vocabulary.yaml` is invalid.
    """
    path = folder / ANNOTATIONS
    images = read_image_list(path)
    categories = _Categories(_vocabulary(folder, images, path))
    annotations, seen = [], set[Path]()
    for where, image in _each(images, path):
        with reading(where):
            found = find_image(as_file_name(image["file"]), (folder,))
            if found is None:
                raise DatasetError(f"there is no such file in {folder}; put it there, or remove the entry")
            if found in seen:
                raise DatasetError("the image is listed twice; join its entries")
            seen.add(found)
        annotations.append(_annotation(found, image, folder, categories, where))
    command = check_command("custom", folder)
    return AnnotatedImages(folder.resolve().name, split, categories.vocabulary, tuple(annotations), (folder,), command)


def vocabulary_file(folder: Path) -> Path:
    """Return the file of a custom data set that defines its vocabulary."""
    return folder / (VOCABULARY if (folder / VOCABULARY).is_file() else ANNOTATIONS)


def read_zero_shot(folder: Path, name: str, vocabulary: Vocabulary) -> tuple[int, ...]:
    """Read the unseen categories of a zero-shot split.

    Args:
        folder: The data set's, with `zero_shot.yaml`.
        name: Name of the split.
        vocabulary: The data set's.

    Returns:
        The unseen HOI ids, ascending.

    Raises:
        DatasetError: There is no such file or split, or a category is not in the vocabulary.
        VocabularyError: The file is not YAML.
    """
    path = folder / ZERO_SHOT
    try:
        content = read_regular(path, MAX_BYTES)
    except OSError as error:
        raise DatasetError(f"no zero-shot splits in {path} ({error.strerror}); list the unseen categories of each split there") from error
    with reading(str(path)):
        splits = as_mapping(parse_yaml(content, name=path.name), "splits by name")
        if name not in splits:
            raise DatasetError(f"no zero-shot split is called {name!r}; there are {', '.join(splits) or 'none'}")
        entries = as_list(splits[name], "categories")
    categories = _Categories(vocabulary)
    return tuple(sorted({categories.find(entry, f"{path}, {name}, entry {number}") for number, entry in enumerate(entries, 1)}))


def write_vocabulary(folder: Path, path: Path | None = None) -> Path:
    """Write the annotated categories to `vocabulary.yaml`, for editing and for engines.

    Args:
        folder: The data set's.
        path: Another file to write.

    Returns:
        The file's path.

    Raises:
        DatasetError: The file exists, or the annotations are invalid.
    """
    path = path or folder / VOCABULARY
    entries = _entries(read_image_list(folder / ANNOTATIONS), folder / ANNOTATIONS)
    try:
        with path.open("x", encoding="utf-8") as file:
            yaml.safe_dump(entries, file, allow_unicode=True, sort_keys=False, width=1000)
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror}; remove the existing file, or edit it") from error
    return path


def _each(images: list[Any], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, image in enumerate(images, 1):
        where = f"{path.name}, image {number}"
        with reading(where):
            file = as_mapping(image, "an image").get("file")
            check_keys(image, ("file", "interactions"))
        yield f"{where} ({str(file)[:80]})", image


def _each_interaction(image: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with reading(where):
        interactions = as_list(image.get("interactions"), "interactions")
    for number, interaction in enumerate(interactions, 1):
        with reading(f"{where}, interaction {number}"):
            check_keys(as_mapping(interaction, "an interaction"), _KEYS)
        yield f"{where}, interaction {number}", interaction


def _vocabulary(folder: Path, images: list[Any], path: Path) -> Vocabulary:
    if (folder / VOCABULARY).is_file():
        return load_vocabulary(folder / VOCABULARY)
    entries = _entries(images, path)
    if not entries:
        raise DatasetError(f"{path}: no image has an interaction; annotate some, or list the categories in {VOCABULARY}")
    return parse_custom(json.dumps(entries, ensure_ascii=False).encode(), file=path.name, name=folder.resolve().name)


def _entries(images: list[Any], path: Path) -> list[Any]:
    """List the annotated categories as entries of a vocabulary file."""
    entries: dict[tuple[str, str], Any] = {}
    parsed: dict[str, tuple[str, str]] = {}
    for where, image in _each(images, path):
        for at, interaction in _each_interaction(image, where):
            with reading(at):
                entry = _entry(interaction)
            key = json.dumps(entry)
            if key not in parsed:
                parsed[key] = _parse(entry, {}, at)
            entries.setdefault(parsed[key], entry)
    return list(entries.values())


def _entry(interaction: dict[str, Any]) -> Any:  # noqa: ANN401 -- an entry of a vocabulary file
    """Convert an interaction to an entry of a vocabulary file."""
    text, verb, noun = (interaction.get(key) for key in ("text", "verb", "object_name"))
    if isinstance(text, str) and verb is None and noun is None:
        return text
    if text is None and isinstance(verb, str) and isinstance(noun, str):
        return {"verb": verb, "object": noun}
    raise DatasetError('expected "text" such as "person riding bicycle", or both "verb" and "object_name", as texts')


def _parse(entry: Any, objects: dict[str, str], where: str) -> tuple[str, str]:  # noqa: ANN401 -- an entry of a vocabulary file
    """Parse an entry into verb and object."""
    document = {"name": "annotations", "interactions": [entry], "objects": objects}
    try:
        one = parse_custom(json.dumps(document, ensure_ascii=False).encode(), file="", name="")
    except VocabularyError as error:
        raise DatasetError(f"{where}: {str(error).removeprefix(', entry 1').lstrip(' :,')}") from error
    return one.verbs[0], one.objects[0]


class _Categories:
    """Finds categories by their entries."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._by_text = {hoi.text: hoi_id for hoi_id, hoi in enumerate(vocabulary.hois)}
        self._by_names = {
            (vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]): hoi_id for hoi_id, hoi in enumerate(vocabulary.hois)
        }
        own = [index for index, coco_id in enumerate(vocabulary.coco_category_ids) if coco_id is None]
        self._objects = {vocabulary.objects[index]: vocabulary.object_prompts[index] for index in own}  # where phrases are split
        self._found: dict[str, int] = {}

    def find(self, entry: Any, where: str) -> int:  # noqa: ANN401 -- an entry of a vocabulary file
        key = json.dumps(entry)
        if key not in self._found:
            text = " ".join(entry.lower().split()) if isinstance(entry, str) else None
            found = self._by_text.get(text) if text else None
            self._found[key] = self._look_up(entry, where) if found is None else found
        return self._found[key]

    def _look_up(self, entry: Any, where: str) -> int:  # noqa: ANN401 -- an entry of a vocabulary file
        names = _parse(entry, self._objects, where)
        if names not in self._by_names:
            near = difflib.get_close_matches(" ".join(names), [" ".join(known) for known in self._by_names], n=1)
            hint = f"; the nearest there is {near[0]!r}" if near else ""
            raise DatasetError(
                f"{where}: verb {names[0]!r} with object {names[1]!r} is not in {VOCABULARY}{hint}; add it there, or correct it"
            )
        return self._by_names[names]


def _annotation(path: Path, image: dict[str, Any], folder: Path, categories: _Categories, where: str) -> HoiAnnotation:
    with reading(where):
        size = read_image_size(path)
    humans, objects, hoi_ids = [], [], []
    for at, interaction in _each_interaction(image, where):
        with reading(at):
            humans.append(_box(interaction["human"], "human", size, path))
            other = interaction["object"]
            objects.append(np.zeros(4, np.float32) if other is None else _box(other, "object", size, path))
            entry = _entry(interaction)
        hoi_ids.append(categories.find(entry, at))
    ids = np.array(hoi_ids, np.int64)
    human_boxes, object_boxes = (np.array(boxes, np.float32).reshape(-1, 4) for boxes in (humans, objects))
    vocabulary = categories.vocabulary
    return HoiAnnotation(
        path.relative_to(folder).as_posix(), human_boxes, object_boxes, ids, vocabulary.object_ids[ids], vocabulary.verb_ids[ids]
    )


def _box(value: object, what: str, size: tuple[int, int], path: Path) -> Any:  # noqa: ANN401 -- an array
    (box,) = as_boxes([value])
    return clip_box(box, value, what, size, path)
