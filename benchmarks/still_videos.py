"""Make videos in which nothing moves for a part of the time: `python benchmarks/still_videos.py VIDEOS … --output FOLDER`.

Rendered videos, in which something always moves, get pauses: a frame is repeated for 3 to 12 seconds, with new noise of a sensor each time,
and its ground truth goes on. `motion_gating.py` measures on them.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import Truth, TruthTrack, read_truth, truth_path, write_truth
from edge_hoi.media import VideoWriter
from edge_hoi.types import Image

PAUSE_SECONDS = (3.0, 12.0)
NOISE = 2.0
"""Standard deviation in grey levels."""

Pauses = dict[int, int]
"""How many more frames show the frame of this index."""


def main() -> None:
    """Write the videos and their ground truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--still", type=float, nargs="+", default=[0.3, 0.45, 0.6], help="shares of the time; the videos take turns")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for seed, (video, still) in enumerate(zip(arguments.videos, itertools.cycle(arguments.still))):
        truth = read_truth(truth_path(video))
        pauses = choose_pauses(truth, still, np.random.default_rng(seed))
        target = arguments.output / video.name
        write_paused(video, target, truth, pauses, np.random.default_rng(seed))
        write_truth(paused(truth, pauses), truth_path(target))
        print(f"{target}: {sum(pauses.values()) / (truth.video.frames + sum(pauses.values())):.0%} still, {len(pauses)} pauses")


def choose_pauses(truth: Truth, still: float, random: np.random.Generator) -> Pauses:
    """Choose pauses that are together this share of the longer video."""
    missing = still / (1 - still) * truth.video.frames
    lengths: list[int] = []
    while sum(lengths) < missing:
        lengths.append(int(random.uniform(*PAUSE_SECONDS) * truth.video.fps))
    at = random.choice(truth.video.frames, len(lengths), replace=False)
    return dict(sorted(zip(at.tolist(), lengths, strict=True)))


def write_paused(video: Path, target: Path, truth: Truth, pauses: Pauses, random: np.random.Generator) -> None:
    """Write the longer video. A pause at a frame that is missing begins at the next one."""
    fps, delay, left = truth.video.fps, 0, list(pauses.items())
    with open_source(str(video), source_id=video.stem) as source, VideoWriter(target, truth.video.width, truth.video.height, fps) as writer:
        for frame in source:
            index = round(frame.pts_seconds * fps)
            writer.write(noisy(frame.image, random), (index + delay) / fps)
            while left and left[0][0] <= index:
                for _ in range(left.pop(0)[1]):
                    delay += 1
                    writer.write(noisy(frame.image, random), (index + delay) / fps)


def noisy(image: Image, random: np.random.Generator) -> Image:
    """Add the noise of a sensor."""
    noise = random.normal(0.0, NOISE, image.shape[:2])[..., None]
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def paused(truth: Truth, pauses: Pauses) -> Truth:
    """Return the ground truth of the longer video."""
    fps = truth.video.fps
    frames = truth.video.frames + sum(pauses.values())

    def later(seconds: float) -> float:
        return seconds + sum(length for at, length in pauses.items() if at / fps < seconds) / fps

    video = replace(truth.video, frames=frames, duration_seconds=truth.video.duration_seconds + sum(pauses.values()) / fps)
    tracks = {number: paused_track(track, pauses) for number, track in truth.tracks.items()}
    episodes = tuple(replace(each, start=later(each.start), end=later(each.end)) for each in truth.episodes)
    return Truth(video, tracks, episodes, truth.verbs)


def paused_track(track: TruthTrack, pauses: Pauses) -> TruthTrack:
    """Repeat a track's box of a frame that is repeated."""
    at, lengths = np.array(list(pauses), np.int64), np.array(list(pauses.values()), np.int64)
    rows: Sequence[tuple[int, int]] = [
        (row, int(index + lengths[at < index].sum()) + more)
        for row, index in enumerate(track.frames.tolist())
        for more in range(1 + pauses.get(index, 0))
    ]
    return TruthTrack(track.category, np.array([frame for _, frame in rows], np.int64), track.boxes[[row for row, _ in rows]])


if __name__ == "__main__":
    main()
