"""The reader with fake sources; test_reader_network.py has real servers."""

import threading
import time

import numpy as np
import pytest
from busy_machine import within

from edge_hoi.errors import SourceError
from edge_hoi.ingest import FakeSource, ReaderState, RetryPolicy, SourceReader, open_source
from edge_hoi.types import ClockInfo, Frame


def frame(index, *, pts_seconds=None, arrived_seconds=0.0):
    image = np.full((2, 2, 3), index, np.uint8)
    pts_seconds = index / 10 if pts_seconds is None else pts_seconds
    return Frame(image, pts_seconds, None, ClockInfo("media", "relative"), arrived_seconds, index, "door")


def failure(code):
    return SourceError(f"Cannot read door: {code}; fix it.", code=code, is_retryable=code in ("unreachable", "timeout"))


def reader_of(*answers, **options):
    """Return a reader that opens each answer in turn: a source, or an error."""
    left = list(answers)

    def open_next():
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SourceReader(open_next, source_id="door", **{"retries": RetryPolicy(0.01, 0.02)} | options)


def read_all(reader):
    frames = []
    while not reader.mailbox.is_finished:
        frame = reader.mailbox.get(60)
        if frame is not None:
            frames.append(frame)
    wait_for(lambda: reader.state in (ReaderState.ENDED, ReaderState.FAILED))
    return frames


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def test_recording_is_read_to_its_end_and_a_slow_consumer_drops_no_frame(clip):
    with SourceReader(lambda: open_source(str(clip), source_id="door"), source_id="door", capacity=2) as reader:
        wait_for(lambda: len(reader.mailbox) == 2)
        time.sleep(0.1)
        frames = read_all(reader)
    assert [frame.index for frame in frames] == list(range(50))
    assert (reader.state, reader.error, reader.mailbox.dropped) == (ReaderState.ENDED, None, 0)
    assert reader.tally.frames_decoded == 50
    assert reader.info.fps == 25.0


def test_live_source_keeps_only_the_newest_frame_and_counts_the_rest():
    with reader_of(FakeSource([frame(index) for index in range(9)], is_live=True), failure("unauthorized")) as reader:
        wait_for(lambda: reader.state is ReaderState.FAILED)
        frames = read_all(reader)
    assert [frame.index for frame in frames] == [8]
    assert reader.mailbox.dropped == 8


def test_permanent_error_fails_at_once():
    with reader_of(failure("not_found")) as reader:
        assert read_all(reader) == []
        assert (reader.state, reader.error.code, reader.reconnections) == (ReaderState.FAILED, "not_found", 0)


def test_camera_that_is_off_at_first_is_retried():
    source = FakeSource([frame(0)], is_live=True)
    with reader_of(failure("unreachable"), failure("timeout"), source, failure("unauthorized")) as reader:
        frames = read_all(reader)
    assert len(frames) == 1
    assert reader.error.code == "unauthorized"
    assert reader.reconnections == 0


@pytest.mark.parametrize("code", ["unreachable", "timeout", "not_found", "corrupt"])
def test_camera_that_streamed_before_is_retried_while_it_restarts(code):
    first, second = (FakeSource([frame(0)], is_live=True) for _ in range(2))
    with reader_of(first, failure(code), failure(code), second, failure("unauthorized")) as reader:
        read_all(reader)
        assert reader.reconnections == 1
        assert reader.tally.frames_decoded == 2


def test_recording_that_fails_in_the_middle_is_not_retried():
    with reader_of(FakeSource([frame(0), frame(1)], error=failure("unreachable"))) as reader:
        assert [frame.index for frame in read_all(reader)] == [0, 1]
        assert (reader.state, reader.error.code) == (ReaderState.FAILED, "unreachable")


class OneByOne(FakeSource):
    """A live source whose every frame waits until it was frame."""

    def attach(self, reader):
        self._reader = reader
        return self

    def __iter__(self):
        for item in super().__iter__():
            yield item
            wait_for(lambda: len(self._reader().mailbox) == 0)


def test_media_time_and_numbers_continue_after_reconnections_by_time_of_arrival():
    connections = [
        [frame(0, arrived_seconds=100.0), frame(1, pts_seconds=0.1, arrived_seconds=100.1)],
        [frame(0, arrived_seconds=107.6), frame(1, pts_seconds=0.1, arrived_seconds=107.7)],
        [frame(0, arrived_seconds=109.7)],
    ]
    sources = [OneByOne(frames, is_live=True).attach(lambda: reader) for frames in connections]
    reader = reader_of(*sources, failure("unauthorized"))
    with reader:
        frames = read_all(reader)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0.0, 0.1, 7.6, 7.7, 9.7])
    assert reader.reconnections == 2
    assert reader.tally.frames_decoded == 5


def test_bug_in_a_source_is_reported_without_its_text():
    with reader_of(RuntimeError("rtsp://admin:canary@camera.lan")) as reader:
        read_all(reader)
        assert reader.state is ReaderState.FAILED
        assert "RuntimeError in open_next" in str(reader.error)
        assert (reader.error.code, reader.error.is_retryable) == ("unsupported", False)
        assert "canary" not in str(reader.error)


def test_stop_wakes_a_reader_with_a_full_mailbox():
    reader = reader_of(FakeSource([frame(index) for index in range(9)]), capacity=1)
    reader.start()
    wait_for(lambda: len(reader.mailbox) == 1)
    assert reader.stop(within(1.0))
    assert (reader.state, reader.mailbox.is_finished) == (ReaderState.STOPPED, True)


def test_stop_does_not_wait_for_a_hanging_reader_which_ends_later():
    wakes = threading.Event()
    ended = threading.Event()

    class Hanging(FakeSource):
        def __iter__(self):
            yield frame(0)
            wakes.wait()
            yield frame(1)

        def close(self):
            ended.set()

    reader = reader_of(Hanging([frame(0)], is_live=True))
    reader.start()
    wait_for(lambda: reader.state is ReaderState.STREAMING)
    started = time.monotonic()
    assert not reader.stop(0.2)
    assert time.monotonic() - started < within(1.0)
    assert reader.state is ReaderState.STOPPED
    wakes.set()
    assert ended.wait(30)


def waits_of(monkeypatch, *answers, **options):
    """Return the seconds that a reader waits before each retry, the longest that jitter allows, and the reader; no time passes."""
    waits, jitter = [], []
    monkeypatch.setattr("edge_hoi.ingest.reader.random.uniform", lambda low, high: jitter.append((low, high)) or high)
    left = list(answers)

    def open_next():
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reader = SourceReader(open_next, source_id="door", **options)
    reader._stopping.wait = waits.append
    with reader:
        read_all(reader)
    assert set(jitter) <= {(0.5, 1.0)}
    return waits, reader


def test_the_wait_before_a_retry_doubles_up_to_its_limit(monkeypatch):
    waits, reader = waits_of(monkeypatch, *[failure("timeout")] * 6, failure("unauthorized"))
    assert waits == [0.5, 1, 2, 4, 5, 5]
    assert (reader.state, reader.error.code) == (ReaderState.FAILED, "unauthorized")
    waits, _ = waits_of(monkeypatch, *[failure("timeout")] * 3, failure("unauthorized"), retries=RetryPolicy(3, 20))
    assert waits == [3, 6, 12]


def streamed(seconds):
    """Return a live source whose two frames arrive so many seconds apart."""
    return FakeSource([frame(0, arrived_seconds=1000.0), frame(1, arrived_seconds=1000.0 + seconds)], is_live=True)


@pytest.mark.parametrize(("seconds", "expected"), [(5.0, 0.5), (4.875, 4), (0.0, 4)])
def test_the_wait_starts_over_after_a_source_has_streamed_for_the_longest_wait(monkeypatch, seconds, expected):
    waits, reader = waits_of(monkeypatch, *[failure("timeout")] * 3, streamed(seconds), failure("unreachable"), failure("unauthorized"))
    assert waits == [0.5, 1, 2, expected, min(2 * expected, 5)]
    assert reader.reconnections == 0


def test_the_time_between_two_connections_is_no_time_of_streaming(monkeypatch):
    late = FakeSource([frame(0, arrived_seconds=2000.0)], is_live=True)
    waits, reader = waits_of(monkeypatch, streamed(1), late, late, failure("unauthorized"))
    assert waits == [0.5, 1, 2]
    assert reader.reconnections == 2


def test_the_wait_grows_although_an_attempt_takes_longer_than_the_longest_wait(monkeypatch):
    """A camera that is off answers nothing until the open timeout, 10 s."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def hangs():
        now[0] += 10
        if now[0] > 50:
            raise failure("unauthorized")
        raise failure("timeout")

    waits = []
    reader = SourceReader(hangs, source_id="door")
    monkeypatch.setattr("edge_hoi.ingest.reader.random.uniform", lambda low, high: high)
    reader._stopping.wait = waits.append
    reader._run()
    assert waits == [0.5, 1, 2, 4, 5]


@pytest.mark.parametrize("code", ["unauthorized", "unsupported"])
def test_a_camera_that_streamed_before_fails_on_an_error_that_no_retry_fixes(code):
    with reader_of(FakeSource([frame(0)], is_live=True), failure(code)) as reader:
        read_all(reader)
        assert (reader.state, reader.error.code) == (ReaderState.FAILED, code)


@pytest.mark.parametrize("code", ["not_found", "not_video", "corrupt"])
def test_a_camera_never_reached_is_not_retried_after_a_permanent_error(code):
    with reader_of(failure(code)) as reader:
        read_all(reader)
        assert (reader.state, reader.error.code) == (ReaderState.FAILED, code)


def test_a_live_source_that_ends_without_an_error_is_connected_again():
    sources = [FakeSource([frame(0)], is_live=True) for _ in range(2)]
    with reader_of(*sources, failure("unauthorized")) as reader:
        read_all(reader)
    assert reader.reconnections == 1


def test_the_state_and_error_are_those_of_the_moment():
    seen = []

    class Looking(FakeSource):
        def __iter__(self):
            for item in super().__iter__():
                seen.append((reader.state, reader.error, reader.mailbox.policy, reader.mailbox.capacity))
                yield item

    answers = [failure("timeout"), Looking([frame(0)], is_live=True), failure("unauthorized")]

    def open_next():
        seen.append((reader.state, reader.error and reader.error.code))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reader = SourceReader(open_next, source_id="door", retries=RetryPolicy(0.01))
    assert (reader.state, reader.error, reader.info, reader.mailbox.policy, reader.mailbox.capacity) == (
        *(ReaderState.CONNECTING, None, None, "lossless", 4),
    )
    reader._stopping.wait = lambda seconds: seen.append((reader.state, reader.error.code))
    with reader:
        read_all(reader)
    assert seen == [
        (ReaderState.CONNECTING, None),
        (ReaderState.BACKOFF, "timeout"),
        (ReaderState.CONNECTING, "timeout"),
        (ReaderState.STREAMING, None, "newest", 1),
        (ReaderState.BACKOFF, "unreachable"),
        (ReaderState.CONNECTING, "unreachable"),
    ]


def test_frames_before_a_reconnection_are_passed_unchanged():
    frames = [frame(7, pts_seconds=3.0), frame(8, pts_seconds=3.5)]
    with reader_of(FakeSource(frames)) as reader:
        assert read_all(reader) == frames
    assert (reader.state, reader.reconnections) == (ReaderState.ENDED, 0)


def test_the_tally_adds_up_over_connections_and_counts_each_once():
    sources = [FakeSource([frame(index) for index in range(count)], is_live=True) for count in (3, 2, 1)]
    with reader_of(*sources, failure("unauthorized")) as reader:
        read_all(reader)
        assert reader.tally.frames_decoded == 6


def test_a_stop_during_the_wait_for_a_retry_ends_the_reader_without_failure():
    reader = reader_of(failure("timeout"))
    reader._retries = RetryPolicy(60, 60)
    reader.start()
    wait_for(lambda: reader.state is ReaderState.BACKOFF)
    assert reader.stop(2.0)
    assert reader.state is ReaderState.STOPPED
    assert reader.mailbox.is_finished


def test_the_longest_wait_is_slow_for_a_source_never_reached_that_refuses_and_at_once_for_a_refused_password(monkeypatch):
    patient = RetryPolicy(1, 5, slow_wait_seconds=60, is_patient=True)
    waits, _ = waits_of(monkeypatch, *[failure("not_found")] * 8, failure("unsupported"), retries=patient)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    waits, _ = waits_of(monkeypatch, *[failure("unauthorized")] * 2, failure("timeout"), failure("unsupported"), retries=patient)
    assert waits == [60, 60, 1]
    waits, _ = waits_of(monkeypatch, streamed(0), *[failure("not_found")] * 4, failure("unsupported"), retries=patient)
    assert waits == [1, 2, 4, 5, 5]


@pytest.mark.parametrize("code", ["unreachable", "timeout", "not_found", "not_video", "corrupt", "refused", "unauthorized"])
def test_a_patient_reader_retries_all_but_what_can_never_pass(code):
    patient = RetryPolicy(0.01, 0.02, slow_wait_seconds=0.02, is_patient=True)
    answers = [failure(code), FakeSource([frame(0)], is_live=True), failure(code), failure("unsupported")]
    with reader_of(*answers, retries=patient) as reader:
        read_all(reader)
        assert (reader.state, reader.error.code) == (ReaderState.FAILED, "unsupported")


@pytest.mark.parametrize(("seconds", "attempts"), [(29.0, 3), (30.0, 3), (31.0, 4)])
def test_a_reader_gives_up_after_its_limit_without_a_frame(monkeypatch, seconds, attempts):
    now, tries = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def hangs():
        now[0] += 10
        tries.append(now[0])
        raise failure("timeout")

    reader = SourceReader(hangs, source_id="door", retries=RetryPolicy(give_up_after_seconds=seconds))
    reader._stopping.wait = lambda seconds: None
    reader._run()
    assert (reader.state, len(tries)) == (ReaderState.FAILED, attempts)


def test_a_recording_that_breaks_is_not_begun_again_however_patient_the_reader():
    broken = FakeSource([frame(0)], error=failure("unreachable"))
    with reader_of(broken, retries=RetryPolicy(0.01, is_patient=True)) as reader:
        read_all(reader)
    assert (reader.state, reader.error.code) == (ReaderState.FAILED, "unreachable")


def test_the_state_is_silent_once_no_frame_came_for_two_seconds_or_three_intervals(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    states = []

    class Slow(FakeSource):
        def __iter__(self):
            for number, (before, after) in enumerate([(0.5, 2.0), (0.5, 2.25), (4.0, 11.75), (4.0, 12.25)]):
                now[0] += before
                yield frame(number)
                now[0] += after
                states.append(reader.state)
                now[0] -= after

    source = Slow([frame(0)], is_live=True)
    reader = reader_of(source, failure("unauthorized"))
    reader._run()
    assert states == [ReaderState.STREAMING, ReaderState.SILENT, ReaderState.STREAMING, ReaderState.SILENT]
