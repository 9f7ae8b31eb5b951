"""CVAT's own form "CVAT for images 1.1" (https://docs.cvat.ai/docs/dataset_management/formats/xml_format).

A verb is an attribute of the object's box, and its person the one in its group (`group_id`); or an attribute of the person's box, for
all objects of its group.
"""

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_boxes, as_file_name, reading
from edge_hoi.lab.datasets.imports.labelled import Export, LabelledImage, Region
from edge_hoi.lab.datasets.imports.places import find_export, read_text, roots_of

_NO_SHAPES = {"tag"}
_MAX_TAGS = 1 << 23  # an element takes up to 350 bytes


def read_cvat(export: Path) -> Export:
    """Read an `annotations.xml`, or the one in a folder.

    Raises:
        DatasetError: There is no such file, or it is not of this form.
    """
    path = find_export(export, ("annotations.xml", "*.xml"), "annotations.xml")
    root = _parse(path)
    skipped: Counter[str] = Counter()
    with reading(str(path)):
        if root.tag != "annotations" or root.find("track") is not None or root.find("image") is None:
            raise DatasetError("expected images with boxes; export the task as 'CVAT for images 1.1'")
        images = [_image(image, number, path, skipped) for number, image in enumerate(root.iterfind("image"))]
    return Export(images, roots_of(export, path), skipped)


def _parse(path: Path) -> ElementTree.Element:
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text or text.count("<") > _MAX_TAGS:
        raise DatasetError(f"{path}: expected annotations of at most {_MAX_TAGS} tags, without entities; is it the right file?")
    try:
        return ElementTree.fromstring(text)  # noqa: S314 -- without entities
    except (ElementTree.ParseError, ValueError) as error:
        raise DatasetError(f"cannot read {path} ({error}); export the annotations again") from error


def _image(image: ElementTree.Element, number: int, path: Path, skipped: Counter[str]) -> LabelledImage:
    with reading(f"image {number}"):
        name = as_file_name(image.attrib["name"])
        size = int(image.attrib["width"]), int(image.attrib["height"])
    regions = []
    for index, shape in enumerate(image, 1):
        with reading(f"image {name}, shape {index}"):
            if shape.tag == "box" and not float(shape.get("rotation", 0)):
                regions.append(_region(shape, index))
            elif shape.tag not in _NO_SHAPES:
                skipped["rotated box" if shape.tag == "box" else shape.tag] += 1
    return LabelledImage(name, f"{path.name}, image {name}", size, tuple(regions))


def _region(shape: ElementTree.Element, index: int) -> Region:
    attributes = {child.attrib["name"].lower(): (child.text or "").strip() for child in shape.iterfind("attribute")}
    (box,) = as_boxes([[float(shape.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr")]])
    corners = [round(float(value), 2) for value in box]
    group = shape.get("group_id") or None
    return Region(attributes.get("id") or str(index), shape.attrib["label"], corners, attributes, None if group == "0" else group)
