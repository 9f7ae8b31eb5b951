"""One thread per source: opens it, decodes into its mailbox, and reconnects to a live source."""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import replace

from typing_extensions import Self

from edge_hoi.compat import StrEnum
from edge_hoi.errors import SourceError
from edge_hoi.ingest.mailbox import Mailbox
from edge_hoi.ingest.source import Source, SourceInfo, SourceTally
from edge_hoi.ingest.source_errors import defect_error
from edge_hoi.types import Frame

_logger = logging.getLogger(__name__)

# Errors of a restarting camera. Its server is up before its stream, and answers 404 or half a stream.
_TRANSIENT_CODES = frozenset({"unreachable", "timeout", "not_found", "not_video", "corrupt", "refused", "memory", "crashed"})
_CRASHES = frozenset({"memory", "crashed"})


class ReaderState(StrEnum):
    """State of a reader."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    BACKOFF = "backoff"
    ENDED = "ended"
    FAILED = "failed"


class SourceReader:
    """Reads one source into a mailbox, in a thread; a context manager that starts and stops it.

    A recording is read to its end, losslessly. Of a live source only the newest frame is kept, and the reader reconnects after transient
    errors. Media time and frame numbers then continue, by the time of arrival.

    Attributes:
        source_id: Name of the source.
        mailbox: The frames; `mailbox.is_finished` when no more will come.
        state: State of the reader.
        error: The current error in `backoff` or `failed`; else None.
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
        initial_wait_seconds: float = 0.5,
        max_wait_seconds: float = 5.0,
    ) -> None:
        """Create a reader; `start` starts it.

        Args:
            open_source: Opens the source, in the reader's thread.
            source_id: Name of the source.
            capacity: Most frames of a recording decoded ahead.
            initial_wait_seconds: Wait before the first retry; doubled each time until the source has streamed for `max_wait_seconds`.
            max_wait_seconds: Longest wait between retries.
        """
        self.source_id = source_id
        self.mailbox: Mailbox[Frame] = Mailbox("lossless", capacity)
        self.state = ReaderState.CONNECTING
        self.error: SourceError | None = None
        self.info: SourceInfo | None = None
        self.reconnections = 0
        self.crashes = 0
        self._open_source = open_source
        self._initial_wait = initial_wait_seconds
        self._max_wait = max_wait_seconds
        self._stopping = threading.Event()
        # A daemon, because FFmpeg cannot be interrupted: a blocked read returns at the read timeout at the latest. `stop` does not wait
        # for that; the thread then finds its mailbox closed, and ends.
        self._thread = threading.Thread(target=self._run, name=f"read-{source_id}", daemon=True)
        self._past_tally = SourceTally()
        self._source_tally = SourceTally()
        self._last: Frame | None = None
        self._streamed_seconds = 0.0
        self._first_arrived_seconds: float | None = None
        self._is_resuming = False
        self._pts_offset = 0.0
        self._index_offset = 0

    @property
    def tally(self) -> SourceTally:
        """Counts of the source so far, over all its connections."""
        return self._past_tally + self._source_tally

    def start(self) -> None:
        """Start reading."""
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
            self.state = ReaderState.ENDED
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _run(self) -> None:
        wait_seconds = self._initial_wait
        try:
            while not self._stopping.is_set():
                self.state = ReaderState.CONNECTING
                self._first_arrived_seconds, self._streamed_seconds = None, 0.0
                self._read_to_end()
                if not self._should_retry():
                    return
                _logger.warning("%s: %s", self.source_id, self.error)
                if self._streamed_seconds >= self._max_wait:
                    wait_seconds = self._initial_wait
                self.state = ReaderState.BACKOFF
                # Jitter, so that the cameras behind a restarted switch do not all connect at once.
                self._stopping.wait(wait_seconds * random.uniform(0.5, 1.0))  # noqa: S311  # no secret depends on it
                wait_seconds = min(2 * wait_seconds, self._max_wait)
        finally:
            has_failed = self.error is not None and not self._stopping.is_set()
            self.state = ReaderState.FAILED if has_failed else ReaderState.ENDED
            self.mailbox.close()

    def _read_to_end(self) -> None:
        """Read until the source ends or fails, and set `error`."""
        try:
            with self._open_source() as source:
                self._begin(source)
                for frame in source:
                    if not self.mailbox.put(self._continue_times(frame)):
                        return
                if source.info.is_live:
                    raise SourceError(f"{source.info.masked_url} ended its stream.", code="unreachable", is_retryable=True)
        except SourceError as error:
            if not self._stopping.is_set():
                self.error = error
                self.crashes += error.code in _CRASHES
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
        self.state = ReaderState.STREAMING

    def _continue_times(self, frame: Frame) -> Frame:
        """Continue media time and frame numbers after a reconnection."""
        if self._is_resuming and self._last is not None:
            elapsed = frame.arrived_seconds - self._last.arrived_seconds
            self._pts_offset = self._last.pts_seconds + elapsed - frame.pts_seconds
            self._index_offset = self._last.index + 1 - frame.index
            self._is_resuming = False
        if self._first_arrived_seconds is None:
            self._first_arrived_seconds = frame.arrived_seconds
        self._streamed_seconds = frame.arrived_seconds - self._first_arrived_seconds
        if self._index_offset:
            frame = replace(frame, pts_seconds=frame.pts_seconds + self._pts_offset, index=frame.index + self._index_offset)
        self._last = frame
        return frame

    def _should_retry(self) -> bool:
        if self.error is None or self._stopping.is_set():
            return False
        if self.info is None:
            return self.error.is_retryable
        return self.info.is_live and self.error.code in _TRANSIENT_CODES
