"""FFmpeg's options that limit what a source can make it do: formats, protocols, pixels and memory.

Options: https://ffmpeg.org/ffmpeg-formats.html, https://ffmpeg.org/ffmpeg-codecs.html.
"""

import ctypes
import importlib

import av

from edge_hoi.ingest.url import SourceKind
from edge_hoi.types import MAX_PIXELS

_CONTAINERS = (
    "apng,asf,avi,avs2,avs3,bmp_pipe,dhav,dirac,dnxhd,dv,flv,gif,gxf,h261,h263,h264,hevc,ivf,jpeg_pipe,live_flv,m4v,matroska,mjpeg,mov,mpeg,"
    "mpegts,mpegvideo,mpjpeg,mxf,nut,obu,ogg,png_pipe,rm,vc1,vvc,webp_pipe,wtv,yuv4mpegpipe"
)
# None of them reads from elsewhere than its own file (as concat, image2, dash and sdp do), but hls, whose addresses are checked. Demuxers
# that render text files as video (tty, bin) are left out as well.
_FORMATS = {
    SourceKind.FILE: _CONTAINERS,
    SourceKind.STDIN: _CONTAINERS,
    SourceKind.HTTP: f"{_CONTAINERS},hls",
    SourceKind.RTSP: "rtsp",
    SourceKind.RTMP: "flv",
    SourceKind.DEVICE: "v4l2",
}
_PROTOCOLS = {
    SourceKind.FILE: "file",
    SourceKind.STDIN: "none",
    SourceKind.HTTP: "none",
    SourceKind.RTSP: "tcp,udp,rtp",
    SourceKind.RTMP: "rtmp,tcp",
    SourceKind.DEVICE: "file",
}
_OPTIONS_OF_HLS = {"http_persistent": "0", "http_multiple": "0"}  # else it aborts the process without connections of FFmpeg's own
FAULTY_CODECS = frozenset({"magicyuv"} if av.library_versions["libavcodec"] < (62, 28, 102) else ())
"""Codecs whose decoder writes out of bounds before FFmpeg 8.1.2 (CVE-2026-8461). PyAV for Python 3.10 has an older one."""
_MAX_STREAMS = "256"  # of RTSP, each is set up
_BYTES_PER_PIXEL = 4  # the largest allocation of a frame is its RGB image, with 3


def limiting_options(kind: SourceKind, max_pixels: int) -> dict[str, str]:
    """Return the options for a kind of source, and limit the memory that FFmpeg allocates at once."""
    _limit_allocations(max_pixels * _BYTES_PER_PIXEL)
    options = {"format_whitelist": _FORMATS[kind], "protocol_whitelist": _PROTOCOLS[kind], "max_streams": _MAX_STREAMS}
    options["max_pixels"] = str(max_pixels)
    if FAULTY_CODECS:  # FFmpeg decodes the first frames when it opens a source
        options["codec_whitelist"] = ",".join(sorted(av.codecs_available - FAULTY_CODECS))
    return options | _OPTIONS_OF_HLS if kind is SourceKind.HTTP else options


def ffmpeg_library() -> ctypes.CDLL:
    """Return the FFmpeg libraries that PyAV uses, for functions that it does not offer."""
    return ctypes.CDLL(importlib.import_module("av._core").__file__)


_max_allocation = MAX_PIXELS * _BYTES_PER_PIXEL  # of this process, as FFmpeg's limit is


def _limit_allocations(max_bytes: int) -> None:
    """Let FFmpeg allocate at most this much at once, or more if another source needs it.

    Servers announce packets and replies of any size, for which FFmpeg allocates memory before they arrive.
    """
    global _max_allocation
    _max_allocation = max(_max_allocation, max_bytes)
    ffmpeg_library().av_max_alloc(ctypes.c_size_t(_max_allocation))
