"""Show interactions to people: annotated images and videos.

In: frames with their interactions. Out: images, video files.
"""

from edge_hoi.media.annotate import AnnotateSettings, annotate
from edge_hoi.media.image_file import write_image
from edge_hoi.media.shapes import draw_shapes
from edge_hoi.media.strip import EpisodeLine
from edge_hoi.media.video_writer import VideoWriter

__all__ = ["AnnotateSettings", "EpisodeLine", "VideoWriter", "annotate", "draw_shapes", "write_image"]
