"""The reader with sources made up for the case; test_reader_network.py has real cameras."""

import threading
import time

import numpy as np
import pytest

from edge_hoi.errors import SourceError
from edge_hoi.ingest import FakeSource, ReaderState, SourceReader, open_source
from edge_hoi.types import ClockInfo, Frame


def frame(index, *, pts_seconds=None, arrived_seconds=0.0):
    image = np.full((2, 2, 3), index, np.uint8)
    pts_seconds = index / 10 if pts_seconds is None else pts_seconds
    return Frame(image, pts_seconds, None, ClockInfo("media", "relative"), arrived_seconds, index, "door")


def failure(code):
    return SourceError(f"Cannot read door: {code}; mend it.", code=code, is_retryable=code in ("unreachable", "timeout"))


def reader_of(*answers, **options):
    """Make a reader whose source is each of the answers in turn: a source, or an error of opening."""
    left = list(answers)

    def open_next():
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SourceReader(open_next, source_id="door", initial_wait_seconds=0.01, max_wait_seconds=0.02, **options)


def take_all(reader):
    frames = []
    while not reader.mailbox.is_finished:
        taken = reader.mailbox.get(5)
        if taken is not None:
            frames.append(taken)
    wait_for(lambda: reader.state in (ReaderState.ENDED, ReaderState.FAILED))
    return frames


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_recording_is_read_to_its_end_and_none_is_skipped_by_a_slow_taker(clip):
    with SourceReader(lambda: open_source(str(clip), source_id="door"), source_id="door", capacity=2) as reader:
        wait_for(lambda: len(reader.mailbox) == 2)
        time.sleep(0.1)
        frames = take_all(reader)
    assert [taken.index for taken in frames] == list(range(50))
    assert (reader.state, reader.error, reader.mailbox.dropped) == (ReaderState.ENDED, None, 0)
    assert reader.tally.frames_decoded == 50
    assert reader.info.fps == 25.0


def test_live_source_keeps_only_the_newest_frame_and_counts_the_rest():
    with reader_of(FakeSource([frame(index) for index in range(9)], is_live=True), failure("unauthorized")) as reader:
        wait_for(lambda: reader.state is ReaderState.FAILED)
        frames = take_all(reader)
    assert [taken.index for taken in frames] == [8]
    assert reader.mailbox.dropped == 8


def test_error_that_cannot_pass_fails_at_once():
    with reader_of(failure("not_found")) as reader:
        assert take_all(reader) == []
        assert (reader.state, reader.error.code, reader.reconnections) == (ReaderState.FAILED, "not_found", 0)


def test_camera_that_is_off_at_first_is_tried_again():
    source = FakeSource([frame(0)], is_live=True)
    with reader_of(failure("unreachable"), failure("timeout"), source, failure("unauthorized")) as reader:
        frames = take_all(reader)
    assert len(frames) == 1
    assert reader.error.code == "unauthorized"
    assert reader.reconnections == 0


@pytest.mark.parametrize("code", ["unreachable", "timeout", "not_found", "corrupt"])
def test_camera_that_streamed_before_is_given_time_to_restart(code):
    first, second = (FakeSource([frame(0)], is_live=True) for _ in range(2))
    with reader_of(first, failure(code), failure(code), second, failure("unauthorized")) as reader:
        take_all(reader)
        assert reader.reconnections == 1
        assert reader.tally.frames_decoded == 2


def test_recording_that_fails_in_the_middle_is_not_read_again():
    with reader_of(FakeSource([frame(0), frame(1)], error=failure("unreachable"))) as reader:
        assert [taken.index for taken in take_all(reader)] == [0, 1]
        assert (reader.state, reader.error.code) == (ReaderState.FAILED, "unreachable")


class Handing(FakeSource):
    """A live source whose every frame waits until it was taken."""

    def attach(self, reader):
        self._reader = reader
        return self

    def __iter__(self):
        for given in super().__iter__():
            yield given
            wait_for(lambda: len(self._reader().mailbox) == 0)


def test_media_time_and_numbers_go_on_over_reconnections_by_the_clock_of_arrival():
    connections = [
        [frame(0, arrived_seconds=100.0), frame(1, pts_seconds=0.1, arrived_seconds=100.1)],
        [frame(0, arrived_seconds=107.6), frame(1, pts_seconds=0.1, arrived_seconds=107.7)],
        [frame(0, arrived_seconds=109.7)],
    ]
    sources = [Handing(frames, is_live=True).attach(lambda: reader) for frames in connections]
    reader = reader_of(*sources, failure("unauthorized"))
    with reader:
        frames = take_all(reader)
    assert [taken.index for taken in frames] == [0, 1, 2, 3, 4]
    assert [taken.pts_seconds for taken in frames] == pytest.approx([0.0, 0.1, 7.6, 7.7, 9.7])
    assert reader.reconnections == 2
    assert reader.tally.frames_decoded == 5


def test_defect_in_a_source_is_told_without_its_text():
    with reader_of(RuntimeError("rtsp://admin:canary@camera.lan")) as reader:
        take_all(reader)
        assert reader.state is ReaderState.FAILED
        assert "RuntimeError in open_next" in str(reader.error)
        assert "canary" not in str(reader.error)


def test_stop_wakes_a_reader_whose_mailbox_is_full():
    reader = reader_of(FakeSource([frame(index) for index in range(9)]), capacity=1)
    reader.start()
    wait_for(lambda: len(reader.mailbox) == 1)
    assert reader.stop(1.0)
    assert (reader.state, reader.mailbox.is_finished) == (ReaderState.ENDED, True)


def test_stop_leaves_a_hung_reader_behind_in_time_and_it_ends_when_it_wakes():
    wakes = threading.Event()
    ended = threading.Event()

    class Hung(FakeSource):
        def __iter__(self):
            yield frame(0)
            wakes.wait()
            yield frame(1)

        def close(self):
            ended.set()

    reader = reader_of(Hung([frame(0)], is_live=True))
    reader.start()
    wait_for(lambda: reader.state is ReaderState.STREAMING)
    started = time.monotonic()
    assert not reader.stop(0.2)
    assert time.monotonic() - started < 1.0
    assert reader.state is ReaderState.ENDED
    wakes.set()
    assert ended.wait(2)
