"""Two-stage engines for photographs and real video: a detector of objects, and a head that finds interactions among them, as one network.

In: an exported detector and the head. Out: an engine's folder. Nothing here imports torch.
"""

from edge_hoi.photo.build import (
    EPISODES,
    PHOTO_HEAD,
    PhotoOptions,
    build_photo_engine,
    describe_photo_engine,
    photo_network,
    write_photo_engine,
)

__all__ = [
    "EPISODES",
    "PHOTO_HEAD",
    "PhotoOptions",
    "build_photo_engine",
    "describe_photo_engine",
    "photo_network",
    "write_photo_engine",
]
