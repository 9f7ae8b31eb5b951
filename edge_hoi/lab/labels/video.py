"""What a ground truth says of its video."""

from collections.abc import Callable
from pathlib import Path

from edge_hoi.errors import DatasetError
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import TruthVideo, read_truth, truth_path

_MAX_DEVIATION = 0.01


def describe_video(path: Path, note: Callable[[str], None]) -> TruthVideo:
    """Take a video's description from its ground truth, or else from the video itself.

    Args:
        path: The video file.
        note: Called with messages for the user.

    Raises:
        SourceError: The file cannot be opened.
        DatasetError: It has no declared length or frame rate.
    """
    known = truth_path(path)
    if known.is_file():
        return read_truth(known).video
    with open_source(str(path), source_id=path.stem) as source:
        info = source.info
    if info.fps is None or not info.duration_seconds:
        raise DatasetError(
            f"{path}: it declares no frame rate or length; `ffmpeg -i {path.name} -c copy whole.mp4` writes a file that does"
        )
    frames = max(1, round(info.duration_seconds * info.fps))
    if info.frame_count and abs(info.frame_count - frames) > max(1.0, _MAX_DEVIATION * frames):
        note(
            f"{path}: it has {info.frame_count} frames, {frames} are expected at {info.fps:g} a second; as they are not evenly "
            "spaced, the numbers of frames in CVAT differ from those here. Times in the text form are right"
        )
    return TruthVideo(path.name, info.fps, info.width, info.height, frames, info.duration_seconds)
