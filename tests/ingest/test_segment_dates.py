"""EXT-X-PROGRAM-DATE-TIME of HLS: which frame was captured when."""

import itertools
import tracemalloc
from datetime import datetime, timedelta

import pytest
from numbered_clips import number_of
from servers.raw_server import http_pages
from test_live_hls import FPS, write_segment

from edge_hoi.compat import UTC
from edge_hoi.ingest import open_source
from edge_hoi.ingest.segment_dates import SegmentDates
from edge_hoi.types import ClockInfo

START = datetime(2026, 3, 29, 0, 59, 58, tzinfo=UTC)
BASE = "http://camera/live/index.m3u8"
BY_PLAYLIST = ClockInfo("playlist", "estimated")


def playlist(*lines):
    return "\n".join(["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", *lines, ""])


def dates_of(*lines, opened="abcd", url=BASE, dates=None):
    dates = dates or SegmentDates()
    dates.read(playlist(*lines), url)
    for name in opened:
        dates.opened(f"http://camera/live/{name}.ts")
    return dates.take()


def test_a_segment_without_a_date_begins_where_the_one_before_ends_unless_there_is_a_discontinuity():
    lines = [
        "#EXTINF:9,",
        "a.ts",
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:01:40.5+01:00",
        "#EXTINF:4.25,",
        "b.ts",
        "#EXTINF:4,title",
        "/live/c.ts",
    ]
    assert dates_of(*lines) == [100.5, 104.75]
    assert dates_of(*lines, "#EXT-X-DISCONTINUITY-SEQUENCE:1", "#EXTINF:4,", "d.ts") == [100.5, 104.75, 108.75]
    assert dates_of(*lines, "#EXT-X-DISCONTINUITY", "#EXTINF:4,", "d.ts") == [100.5, 104.75]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1970-01-01T00:01:40Z", 100.0),
        ("1970-01-01T01:01:40.25+01:00", 100.25),
        ("1970-01-01T00:01:40.031+0000", 100.031),
        ("1969-12-31T19:01:40.000000001-05", 100.000000001),
    ],
)
def test_dates_may_have_any_form_of_fraction_and_zone(written, seconds):
    assert dates_of(f"#EXT-X-PROGRAM-DATE-TIME:{written}", "#EXTINF:4,", "a.ts") == [seconds]


@pytest.mark.parametrize("written", ["yesterday", "", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "\0" * 9])
def test_dates_that_are_none_are_left_out(written):
    assert dates_of(f"#EXT-X-PROGRAM-DATE-TIME:{written}", "#EXTINF:4,", "a.ts") == []


def test_what_was_opened_is_told_once():
    dates = SegmentDates()
    lines = ("#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10Z", "#EXTINF:1,", "a.ts")
    assert dates_of(*lines, dates=dates) == [10.0]
    assert dates.take() == []


def test_sound_and_parts_of_files_have_no_dates_of_video():
    dates = SegmentDates()
    dates_of('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="sound.m3u8"', '#EXT-X-MEDIA:URI="video.m3u8",TYPE=VIDEO', dates=dates)
    lines = ("#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10Z", "#EXTINF:1,", "a.ts")
    assert dates_of(*lines, url="http://camera/live/sound.m3u8", dates=dates) == []
    assert dates_of(*lines, url="http://camera/live/video.m3u8", dates=dates) == [10.0]
    assert dates_of(*lines[:2], "#EXT-X-BYTERANGE:9@0", "a.ts") == []


def test_a_segment_keeps_its_date_when_a_newer_playlist_lists_it_without_one():
    dates = SegmentDates()
    dates_of("#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10Z", "#EXTINF:1,", "a.ts", "#EXTINF:1,", "b.ts", "#EXTINF:1,", "c.ts", dates=dates)
    assert dates_of("#EXTINF:1,", "b.ts", "#EXTINF:1,", "d.ts", opened="abcd", dates=dates) == [11.0]


def test_what_is_kept_of_many_playlists_is_limited():
    dates = SegmentDates()
    lines = ["#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10Z", "#EXTINF:1,", "a.ts"]
    tracemalloc.start()
    try:
        for number in range(300):
            sound = f'#EXT-X-MEDIA:TYPE=AUDIO,URI="{number}-{"x" * 4000}"'
            dates.read(playlist(*lines, sound, f"{number}-{'x' * 4000}.ts", "y" * 500_000), BASE)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert dates_of(opened="a", dates=dates) == []
    assert dates_of(*lines, opened="a", dates=dates) == [10.0]


@pytest.mark.parametrize(("length", "expected"), [(4096, [10.0]), (4097, [])])
def test_the_limit_of_a_line_is_exact(length, expected):
    name = "a" * (length - 3)
    lines = ["#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:10Z", "#EXTINF:1,", f"{name}.ts"]
    assert dates_of(*lines, opened=[name]) == expected


@pytest.fixture(scope="module")
def segments(tmp_path_factory):
    """Return six segments of a second; time stamps jump after the third."""
    folder = tmp_path_factory.mktemp("segments")
    for number in range(6):
        write_segment(folder / f"{number}.ts", number * FPS, 10 + number + (3600 if number >= 3 else 0))
    return {f"/{number}.ts": (folder / f"{number}.ts").read_bytes() for number in range(6)}


def listed(dates):
    for number, date in enumerate(dates):
        yield from ["#EXT-X-DISCONTINUITY"] if number == 3 else []
        yield from [] if date is None else [f"#EXT-X-PROGRAM-DATE-TIME:{date.isoformat(timespec='milliseconds')}"]
        yield from ["#EXTINF:1.000,", f"{number}.ts"]


@pytest.fixture
def source_of(serve, segments):
    def start(text, **options):
        server = serve(http_pages(segments | {"/index.m3u8": text.encode()}))
        return open_source(f"http://127.0.0.1:{server.port}/index.m3u8", source_id="door", **options)

    return start


def test_frames_of_a_recording_are_dated_by_their_segments(source_of):
    """The clock of time stamps runs slower than the dates, and a pause of an hour follows."""
    dates = [START + timedelta(seconds=1.02 * number + (3600 if number >= 3 else 0)) for number in range(6)]
    with source_of(playlist(*listed(dates), "#EXT-X-ENDLIST")) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(6 * FPS))
    truth = [dates[segment] + timedelta(seconds=number / FPS) for segment, number in itertools.product(range(6), range(FPS))]
    errors = [abs((frame.captured_at - date).total_seconds()) for frame, date in zip(frames, truth, strict=True)]
    assert max(errors) < 0.021
    assert max(errors[2 * FPS :]) < 0.001  # FFmpeg reads the first two before it returns a frame, so the second has the first one's offset
    assert {(frame.clock.source, frame.clock.quality) for frame in frames} == {("playlist", "estimated")}


def test_a_configured_start_is_believed_before_the_playlist(source_of):
    with source_of(playlist(*listed([START] + [None] * 5), "#EXT-X-ENDLIST"), recorded_at=datetime(2020, 1, 1, tzinfo=UTC)) as source:
        frame = next(iter(source))
    assert (frame.captured_at, frame.clock) == (datetime(2020, 1, 1, tzinfo=UTC), ClockInfo("configured", "estimated"))


@pytest.mark.parametrize(
    ("late_seconds", "clock"), [(30, BY_PLAYLIST), (3600, ClockInfo("arrival", "estimated")), (-3600, ClockInfo("arrival", "estimated"))]
)
def test_a_live_playlist_is_believed_where_its_dates_are_plausible(source_of, late_seconds, clock):
    first = datetime.now(UTC) - timedelta(seconds=late_seconds + 6)
    with source_of(
        playlist("#EXT-X-MEDIA-SEQUENCE:0", *listed([first] + [None] * 2 + [first + timedelta(seconds=3)] + [None] * 2))
    ) as source:
        frames = [frame for frame, _ in zip(source, range(10), strict=False)]
    assert source.info.is_live
    assert {frame.clock for frame in frames} == {clock}
    if clock == BY_PLAYLIST:  # FFmpeg begins with the third last segment
        expected = [first + timedelta(seconds=3 + number / FPS) for number in range(10)]
        assert max(abs((frame.captured_at - date).total_seconds()) for frame, date in zip(frames, expected, strict=True)) < 0.001
