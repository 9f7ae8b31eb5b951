"""Capture times of the segments of HLS by EXT-X-PROGRAM-DATE-TIME (RFC 8216, section 4.3.2.6)."""

import re
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urljoin

_OTHER_MEDIA = re.compile(r'^#EXT-X-MEDIA:(?=.*TYPE=(?!VIDEO)).*URI="([^"]*)"')
_DATE, _LENGTH = "#EXT-X-PROGRAM-DATE-TIME:", "#EXTINF:"
_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(?:Z|([+-]\d\d):?(\d\d)?)", re.ASCII)  # FFmpeg writes +0000
_MAX_SEGMENTS = 50_000  # more than two days of segments of 4 s
_MAX_LINE_LENGTH = 4096
_MAX_WITHOUT_VIDEO = 100  # as many as a playlist may name


class SegmentDates:
    """Collects the dates of segments from playlists, and of those the ones that are opened."""

    def __init__(self) -> None:
        """Start without a playlist."""
        self._dates: dict[str, dict[str, float]] = {}
        """By the playlist's URL and the segment's; of each playlist those that its newest version lists."""
        self._opened: list[float] = []
        self._without_video: set[str] = set()

    def read(self, playlist: str, url: str) -> None:
        """Read the dates of a playlist from this URL. A segment without a date begins where the one before ends."""
        if url in self._without_video or "#EXT-X-BYTERANGE:" in playlist:
            return
        date: float | None = None
        length = 0.0
        known = self._dates.pop(url, {})
        dates: dict[str, float] = {}
        for line in _lines_of(playlist):
            if line.startswith(_DATE):
                date = _seconds_of(line[len(_DATE) :])
            elif line.startswith(_LENGTH):
                length = _length_of(line)
            elif line.startswith("#EXT-X-DISCONTINUITY") and not line.startswith("#EXT-X-DISCONTINUITY-"):
                date = None
            elif match := _OTHER_MEDIA.match(line):
                self._without_video.add(urljoin(url, match[1]))
            elif line.strip() and not line.startswith("#"):
                address = urljoin(url, line.strip())
                if date is not None:
                    dates[address] = date
                    date += length
                elif address in known:
                    dates[address] = known[address]
        self._keep(url, dates)

    def _keep(self, url: str, dates: dict[str, float]) -> None:
        """Keep the dates of a playlist, and of all only so many."""
        for oldest in list(dates)[:-_MAX_SEGMENTS]:
            del dates[oldest]
        if dates:
            self._dates[url] = dates
        while sum(map(len, self._dates.values())) > _MAX_SEGMENTS:
            del self._dates[next(iter(self._dates))]
        if len(self._without_video) > _MAX_WITHOUT_VIDEO:
            self._without_video.clear()

    def opened(self, url: str) -> None:
        """Note that a resource was opened, which may be a segment."""
        date = next((dates[url] for dates in reversed(self._dates.values()) if url in dates), None)
        if date is not None:
            self._opened.append(date)

    def take(self) -> list[float]:
        """Return when each segment begins that was opened since the last call, in seconds since 1970."""
        taken, self._opened = self._opened, []
        return taken


def _lines_of(playlist: str) -> Iterator[str]:
    return (line for line in playlist.splitlines() if len(line) <= _MAX_LINE_LENGTH)


def _seconds_of(text: str) -> float | None:
    match = _DATE_TIME.fullmatch(text.strip())
    if match is None:
        return None
    time, fraction, hours, minutes = match.groups()
    try:
        return datetime.fromisoformat(f"{time}{hours or '+00'}:{minutes or '00'}").timestamp() + float(f"0{fraction or ''}")
    except ValueError:
        return None


def _length_of(line: str) -> float:
    match = re.match(r"#EXTINF:\s*(\d{1,9}(?:\.\d{1,9})?)", line)
    return float(match[1]) if match else 0.0
