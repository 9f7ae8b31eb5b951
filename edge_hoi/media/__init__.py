"""Show interactions to people: annotated images and videos.

In: frames with their interactions. Out: images, video files.
"""

from edge_hoi.media.annotate import AnnotateSettings, annotate
from edge_hoi.media.clip import ClipSettings, mux_clip
from edge_hoi.media.colours import PeopleColours
from edge_hoi.media.image_file import write_image
from edge_hoi.media.packet_ring import PacketRing
from edge_hoi.media.shapes import draw_shapes
from edge_hoi.media.snapshot import SnapshotSettings, rate_snapshot, render_snapshot
from edge_hoi.media.store import MediaStore, StoreSettings
from edge_hoi.media.strip import EpisodeLine
from edge_hoi.media.video_writer import VideoWriter, check_video_path

__all__ = [
    "AnnotateSettings",
    "ClipSettings",
    "EpisodeLine",
    "MediaStore",
    "PacketRing",
    "PeopleColours",
    "SnapshotSettings",
    "StoreSettings",
    "VideoWriter",
    "annotate",
    "check_video_path",
    "draw_shapes",
    "mux_clip",
    "rate_snapshot",
    "render_snapshot",
    "write_image",
]
