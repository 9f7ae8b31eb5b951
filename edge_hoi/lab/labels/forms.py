"""The forms of a file of labels, chosen by its suffix."""

from pathlib import Path

from edge_hoi.compat import StrEnum
from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.truth import SUFFIX, Truth, TruthVideo, read_truth, write_truth
from edge_hoi.lab.labels.coco_video import read_coco_video, write_coco_video
from edge_hoi.lab.labels.cvat import read_cvat, write_cvat
from edge_hoi.lab.labels.text_form import read_text, write_text


class LabelForm(StrEnum):
    """A form of labels."""

    TEXT = "text"
    CVAT = "cvat"
    COCO = "coco"
    TRUTH = "truth"


_SUFFIXES = {SUFFIX: LabelForm.TRUTH, ".yaml": LabelForm.TEXT, ".yml": LabelForm.TEXT, ".xml": LabelForm.CVAT, ".json": LabelForm.COCO}


def form_of(path: Path) -> LabelForm:
    """Return the form of a file by its name.

    Raises:
        DatasetError: It has another suffix.
    """
    form = next((form for suffix, form in _SUFFIXES.items() if path.name.lower().endswith(suffix)), None)
    if form is None:
        raise DatasetError(
            f"{path}: expected labels as .yaml (text), .xml (CVAT for video 1.1), .json (COCO with videos and tracks) or {SUFFIX}"
        )
    return form


def read_labels(path: Path, video: TruthVideo) -> Truth:
    """Read labels of a video.

    Raises:
        DatasetError: They cannot be read, are inconsistent, or do not fit the video; the message says where.
    """
    form = form_of(path)
    if form is LabelForm.TRUTH:
        truth = read_truth(path)
        found, expected = (f"{each.file!r} of {each.width} x {each.height} pixels" for each in (truth.video, video))
        if found != expected:
            raise DatasetError(f"{path}: it is of the video {found}, not {expected}; name its video")
        return truth
    return {LabelForm.TEXT: read_text, LabelForm.CVAT: read_cvat, LabelForm.COCO: read_coco_video}[form](path, video)


def write_labels(truth: Truth, path: Path) -> None:
    """Write labels.

    Raises:
        DatasetError: They cannot be written, or the form cannot hold them.
    """
    write = {LabelForm.TEXT: write_text, LabelForm.CVAT: write_cvat, LabelForm.COCO: write_coco_video, LabelForm.TRUTH: write_truth}
    write[form_of(path)](truth, path)
