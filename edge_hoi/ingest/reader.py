"""One thread per source: opens it, decodes into its mailbox, and reconnects to a live source."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from typing_extensions import Self

from edge_hoi.compat import StrEnum
from edge_hoi.errors import ConfigError, SourceError
from edge_hoi.ingest.mailbox import Mailbox
from edge_hoi.ingest.outage_log import OutageLog
from edge_hoi.ingest.source import Source, SourceInfo, SourceTally
from edge_hoi.ingest.source_errors import defect_error
from edge_hoi.types import Frame, PacketListener

# Errors of a restarting camera. Its server is up before its stream, and answers 404 or half a stream.
_TRANSIENT_CODES = frozenset({"unreachable", "timeout", "not_found", "not_video", "corrupt", "refused", "memory", "crashed"})
_CRASHES = frozenset({"memory", "crashed"})
_NEVER_PASSES = "unsupported"
_SLOW_CODES = frozenset({"unauthorized", "not_found", "refused"})
_SILENT_SECONDS = 2.0
_SILENT_INTERVALS = 3  # for cameras with a frame every few seconds


class ReaderState(StrEnum):
    """State of a reader.

    Connecting leads to streaming; both lead to backing off or waiting, which lead to connecting again, and all to one of the last three.
    """

    CONNECTING = "connecting"
    STREAMING = "streaming"
    SILENT = "silent"
    """Streaming, but without a frame for some time."""
    BACKOFF = "backoff"
    """It will soon be tried again."""
    WAITING = "waiting"
    """It will be tried again now and then: it refuses, and a person may have to do something."""
    ENDED = "ended"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether no other state follows."""
        return self in (ReaderState.ENDED, ReaderState.STOPPED, ReaderState.FAILED)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a source is tried again.

    Attributes:
        initial_wait_seconds: Wait before the first retry; doubled each time until the source has streamed for `max_wait_seconds`.
        max_wait_seconds: Longest wait between retries.
        slow_wait_seconds: Longest wait while a source has never streamed and answers that it has no such stream or may not be used, and the
            wait after a refused password, at once: cameras lock out who tries too often.
        give_up_after_seconds: The source fails after this long without a frame; None to try for ever.
        is_patient: Whether also a source that has never been reached is tried again whatever it answers, and one that refuses the password,
            unless its format is not supported.
    """

    initial_wait_seconds: float = 0.5
    max_wait_seconds: float = 5.0
    slow_wait_seconds: float = 60.0
    give_up_after_seconds: float | None = None
    is_patient: bool = False


class SourceReader:
    """Reads one source into a mailbox, in a thread; a context manager that starts and stops it.

    A recording is read to its end, losslessly. Of a live source only the newest frame is kept, and the reader reconnects after transient
    errors. Media time and frame numbers then continue, by the time of arrival.

    Attributes:
        source_id: Name of the source.
        mailbox: The frames; `mailbox.is_finished` when no more will come.
        state: State of the reader.
        error: The current error in `backoff`, `waiting` or `failed`; else None.
        info: The properties of the source when it was last opened; None before.
        reconnections: How often the source was opened again after it had streamed.
        crashes: How often decoding needed too much memory, or its process died.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        *,
        source_id: str,
        capacity: int = 4,
        retries: RetryPolicy | None = None,
        listener: PacketListener | None = None,
    ) -> None:
        """Create a reader; `start` starts it.

        Args:
            open_source: Opens the source, in the reader's thread.
            source_id: Name of the source.
            capacity: Most frames of a recording decoded ahead.
            retries: When it is tried again.
            listener: Follows the source's packets; it is told the frames' media times here, as they are after reconnections.
        """
        self.source_id = source_id
        self.mailbox: Mailbox[Frame] = Mailbox("lossless", capacity)
        self._state = ReaderState.CONNECTING
        self.error: SourceError | None = None
        self.info: SourceInfo | None = None
        self.reconnections = 0
        self.crashes = 0
        self._open_source = open_source
        self._listener = listener
        self._retries = retries or RetryPolicy()
        self._outages = OutageLog(source_id)
        self._stopping = threading.Event()
        # A daemon, because FFmpeg cannot be interrupted: a blocked read returns at the read timeout at the latest. `stop` does not wait
        # for that; the thread then finds its mailbox closed, and ends.
        self._thread = threading.Thread(target=self._run, name=f"read-{source_id}", daemon=True)
        self._past_tally = SourceTally()
        self._source_tally = SourceTally()
        self._last: Frame | None = None
        self._streamed_seconds = 0.0
        self._received_at = time.monotonic()  # of the newest frame, or the start
        self._interval_seconds = 0.0
        self._first_arrived_seconds: float | None = None
        self._is_resuming = False
        self._pts_offset = 0.0
        self._index_offset = 0

    @property
    def state(self) -> ReaderState:
        """State of the reader, now."""
        if self._state is ReaderState.STREAMING and self.info is not None and self.info.is_live:
            limit = max(_SILENT_SECONDS, _SILENT_INTERVALS * self._interval_seconds)
            return ReaderState.SILENT if self.silent_seconds > limit else ReaderState.STREAMING
        return self._state

    @property
    def silent_seconds(self) -> float:
        """Time since the newest frame was received, or reading started."""
        return time.monotonic() - self._received_at

    @property
    def tally(self) -> SourceTally:
        """Counts of the source so far, over all its connections."""
        return self._past_tally + self._source_tally

    def start(self) -> None:
        """Start reading."""
        self._received_at = time.monotonic()
        self._thread.start()

    def request_stop(self) -> None:
        """Ask the thread to end, without waiting for it. Frames in the mailbox are dropped."""
        self._stopping.set()
        self.mailbox.close(discard=True)

    def stop(self, timeout_seconds: float = 4.0) -> bool:
        """Stop reading; return whether the thread ended within the timeout. If not, it is blocked in a read."""
        self.request_stop()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._state = ReaderState.STOPPED
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _run(self) -> None:
        wait_seconds = self._retries.initial_wait_seconds
        try:
            while not self._stopping.is_set():
                self._state = ReaderState.CONNECTING
                self._first_arrived_seconds, self._streamed_seconds = None, 0.0
                self._read_to_end()
                if self.error is None or not self._should_retry(self.error):
                    return
                self._outages.lost(self.error)
                if self._streamed_seconds >= self._retries.max_wait_seconds:
                    wait_seconds = self._retries.initial_wait_seconds
                wait_seconds = self._back_off(self.error, wait_seconds)
        finally:
            self._state = self._final_state()
            self.mailbox.close()

    def _back_off(self, error: SourceError, wait_seconds: float) -> float:
        """Wait before the next attempt, and return the seconds to wait before the one after it."""
        is_refused = error.code == "unauthorized"
        is_slow = is_refused or (self.info is None and error.code in _SLOW_CODES)
        longest = self._retries.slow_wait_seconds if is_slow else self._retries.max_wait_seconds
        wait_seconds = longest if is_refused else min(wait_seconds, longest)
        self._state = ReaderState.WAITING if is_slow else ReaderState.BACKOFF
        # Jitter, so that the cameras behind a restarted switch do not all connect at once.
        self._stopping.wait(wait_seconds * random.uniform(0.5, 1.0))  # noqa: S311  # no secret depends on it
        return self._retries.initial_wait_seconds if is_refused else min(2 * wait_seconds, longest)

    def _final_state(self) -> ReaderState:
        if self._stopping.is_set():
            return ReaderState.STOPPED
        return ReaderState.ENDED if self.error is None else ReaderState.FAILED

    def _read_to_end(self) -> None:
        """Read until the source ends or fails, and set `error`."""
        try:
            with self._open_source() as source:
                self._begin(source)
                for source_frame in source:
                    frame = self._continue_times(source_frame)
                    if self._listener is not None:
                        self._listener.align(frame.pts_seconds)
                    if not self.mailbox.put(frame):
                        return
                if source.info.is_live and not source.info.is_finite:
                    raise SourceError(f"{source.info.masked_url} ended its stream.", code="unreachable", is_retryable=True)
        except SourceError as error:
            if not self._stopping.is_set():
                # Without its frames, which hold the source, whose memory would wait for a full garbage collection.
                error.__context__ = None
                self.error = error.with_traceback(None)
                self.crashes += error.code in _CRASHES
        except ConfigError as error:  # such as a `ca_file` that cannot be read, at a later connection perhaps
            self.error = SourceError(f"{self.source_id}: {error}", code=_NEVER_PASSES, is_retryable=False)
        except Exception as error:  # a bug ends this source only
            self.error = defect_error(self.source_id, error)

    def _begin(self, source: Source) -> None:
        self._past_tally = self.tally
        self._source_tally = source.tally
        self.reconnections += self._last is not None
        self._is_resuming = self._last is not None
        self.info = source.info
        if source.info.is_live:
            self.mailbox.policy = "newest"
            self.mailbox.capacity = 1
        self.error = None
        self._received_at = time.monotonic()
        self._interval_seconds = 0.0
        self._state = ReaderState.STREAMING

    def _continue_times(self, frame: Frame) -> Frame:
        """Continue media time and frame numbers after a reconnection."""
        now = time.monotonic()
        self._interval_seconds, self._received_at = now - self._received_at, now
        if self._is_resuming and self._last is not None:
            elapsed = frame.arrived_seconds - self._last.arrived_seconds
            self._pts_offset = self._last.pts_seconds + elapsed - frame.pts_seconds
            self._index_offset = self._last.index + 1 - frame.index
            self._is_resuming = False
        if self._first_arrived_seconds is None:
            self._outages.back()
            self._first_arrived_seconds = frame.arrived_seconds
        self._streamed_seconds = frame.arrived_seconds - self._first_arrived_seconds
        if self._index_offset:
            frame = replace(frame, pts_seconds=frame.pts_seconds + self._pts_offset, index=frame.index + self._index_offset)
        self._last = frame
        return frame

    def _should_retry(self, error: SourceError) -> bool:
        limit = self._retries.give_up_after_seconds
        if self._stopping.is_set() or (limit is not None and self.silent_seconds >= limit):
            return False
        if self.info is not None and (self.info.is_finite or not self.info.is_live):
            return False
        if self._retries.is_patient:
            return error.code != _NEVER_PASSES
        return error.is_retryable if self.info is None else error.code in _TRANSIENT_CODES
