"""Count the scans of a JPEG: each passes over all of the image, and one that changes nothing has 50 bytes.

Markers: ITU-T T.81, annex B.
"""

import mmap
import re

MAX_SCANS = 100
"""Most scans of an image that is decoded. Progressive JPEGs have about ten."""
_MAX_SEGMENTS = 10_000
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # neither a byte of the image's data that is 255, nor where decoding may restart
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN, _TEMPORARY = 0xD8, 0xD9, 0xDA, 0x01


def has_too_many_scans(descriptor: int) -> bool:
    """Return whether an open JPEG file has more than `MAX_SCANS` scans, or more segments than any camera writes."""
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
        position = scans = 0
        for _ in range(_MAX_SEGMENTS):
            found = _MARKER.search(content, position)
            if found is None or found[1][0] == _END_OF_IMAGE:
                return False
            position = found.end()
            if found[1][0] not in (_START_OF_IMAGE, _TEMPORARY):
                position += int.from_bytes(content[position : position + 2], "big")
            scans += found[1][0] == _START_OF_SCAN
            if scans > MAX_SCANS:
                break
    return True
