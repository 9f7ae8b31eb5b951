"""Decoders in hardware, as FFmpeg names their devices. FFmpeg decodes in software what a device cannot."""

from contextlib import suppress
from functools import cache

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from edge_hoi.config_types import Decoder
from edge_hoi.masking import get_logger

_logger = get_logger(__name__)

_DEVICES = ("cuda", "vaapi", "qsv", "videotoolbox", "d3d11va")
_CODECS = ("h264", "hevc")


def choose_device(decoder: Decoder) -> str | None:
    """Choose the device to decode on; None to decode in software.

    Args:
        decoder: A device, which is not used where it does not work; `auto` for the first that works, `cpu` for none.
    """
    return next(filter(_works, _DEVICES if decoder == "auto" else {decoder} - {"cpu"}), None)


@cache
def _works(device: str) -> bool:
    """Whether this FFmpeg has such a device, and it can be opened."""
    if device in hwdevices_available():
        for codec in _CODECS:
            with suppress(av.FFmpegError, NotImplementedError, ValueError):
                HWAccel(device_type=device).create(av.Codec(codec, "r"))
                return True
    return False


@cache
def warn_of_software(source_id: str, decoder: Decoder) -> None:
    """Say once in the log that a device that was asked for decodes nothing of a source."""
    _logger.warning("%s: decoder %s cannot be used here; its video is decoded in software; `decoder: cpu` says so", source_id, decoder)
