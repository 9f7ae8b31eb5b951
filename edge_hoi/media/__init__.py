"""Showing what was seen: annotated pictures and videos."""

from edge_hoi.media.annotate import AnnotateSettings, annotate, annotate_picture
from edge_hoi.media.picture import write_picture
from edge_hoi.media.strip import EpisodeLine
from edge_hoi.media.video_writer import VideoWriter

__all__ = ["AnnotateSettings", "EpisodeLine", "VideoWriter", "annotate", "annotate_picture", "write_picture"]
