"""One sink's own thread: takes events from the outbox to the sink, for as long as it takes."""

import logging
import random
import sqlite3
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from edge_hoi.errors import EdgeHoiError, EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.outbox.file import OutboxFile
from edge_hoi.outbox.outbox import Outbox
from edge_hoi.outbox.reader import OutboxReader
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.settings import RetrySettings
from edge_hoi.sinks.sink import Sink

_logger = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
"""How often a relay that has nothing to do looks for replays."""

SinkState = Literal["connecting", "up", "retrying", "faulty"]


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How a sink does, as of now.

    Attributes:
        name: Its name.
        state: `connecting` before it was first reached; `up`; `retrying` while it is tried again (an open circuit); `faulty` while it
            cannot work until a person mends something, and is tried again seldom.
        waiting: Events on disk that it has not got yet.
        delivered: Events that it took in this run.
        dead: Dead letters made in this run.
        failures: Failures in a row.
        error: The newest failure, while there is one.
    """

    name: str
    state: SinkState
    waiting: int
    delivered: int
    dead: int
    failures: int
    error: str | None


class Relay:
    """Delivers the outbox's events to one sink, in order, each at least once. What befalls one sink does not hold up another.

    A failure that may pass is tried again for as long as it takes, after waits that grow (exponential backoff with full jitter). An
    event that can never be taken becomes a dead letter after a few refusals.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        outbox: Outbox,
        *,
        batch_size: int = 100,
        retry: RetrySettings | None = None,
        skip_backlog: bool = False,
    ) -> None:
        """Make a place for the sink in the outbox; `start` starts the thread.

        Args:
            name: The sink's name in the outbox.
            sink: The sink; the relay's thread uses and closes it.
            outbox: Where the events are.
            batch_size: Most events handed over at once.
            retry: How long the sink is left alone after a failure.
            skip_backlog: Deliver only what is put from now on, not what an earlier run left.
        """
        self.name = name
        self._sink = sink
        self._outbox = outbox
        self._batch_size = batch_size
        self._retry = retry or RetrySettings()
        self._position = outbox.register(name, skip_backlog=skip_backlog)
        self._state: SinkState = "connecting"
        self._error: str | None = None
        self._delivered = self._dead = self._failures = self._refusals = 0
        self._one_by_one_until = 0
        self._stopping = threading.Event()
        # A daemon, because nothing can interrupt a sink that hangs: `stop` leaves it behind, and what it had is delivered again.
        self._thread = threading.Thread(target=self._run, name=f"deliver-{name}", daemon=True)

    def start(self) -> None:
        """Start to deliver."""
        self._thread.start()

    def request_stop(self) -> None:
        """Ask the thread to end, without waiting for it."""
        self._stopping.set()
        self._outbox.wake()

    def stop(self, timeout_seconds: float) -> bool:
        """Stop delivering.

        Args:
            timeout_seconds: Longest wait for the thread.

        Returns:
            Whether the thread has ended; if not, it hangs in the sink and was left behind.
        """
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def status(self) -> SinkStatus:
        """Report how the sink does now."""
        waiting = max(0, self._outbox.last_position - self._position)
        return SinkStatus(self.name, self._state, waiting, self._delivered, self._dead, self._failures, self._error)

    def _run(self) -> None:
        try:
            with self._outbox.reader() as reader:
                while not self._stopping.is_set():
                    self._turn(reader)
                self._sink.close()
        except Exception:
            _logger.exception("sink %s: its thread broke on a defect; please report it", self.name)
            self._state, self._error = "faulty", "its thread broke on a defect; see the log"

    def _turn(self, reader: OutboxReader) -> None:
        """Deliver what is there, or wait for something."""
        try:
            messages = reader.after(self._position, 1 if self._position < self._one_by_one_until else self._batch_size)
            is_replay = not messages
            if is_replay:
                messages = reader.replays(self.name, self._batch_size)
        except sqlite3.Error as error:
            self._pause(SinkUnavailableError(f"the outbox cannot be read: {error}; check its disk"))
            return
        failure = self._hand_over(messages)
        taken = len(messages) if failure is None else failure.delivered
        self._note_taken(messages[:taken], is_replay=is_replay)
        if isinstance(failure, EventRefusedError):
            self._refuse(messages[taken], failure, is_replay=is_replay)
        elif failure is not None:
            self._pause(failure)
        else:
            self._note_up()
            if not messages:
                self._outbox.wait_beyond(self._position, IDLE_SECONDS, self._stopping)

    def _hand_over(self, messages: Sequence[Message]) -> SinkError | None:
        """Try to deliver; give the failure, if there was one."""
        try:
            self._sink.open()
            if messages:
                self._sink.deliver(messages)
        except SinkError as error:
            return error
        except EdgeHoiError as error:
            return SinkUnavailableError(str(error))
        except Exception as error:  # a defect of the sink; its text may hold a password
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"the sink broke on a defect, {type(error).__name__} in {place.name}, line {place.lineno} of {place.filename}"
            if len(messages) != 1:
                self._one_by_one_until = messages[-1].position if messages else 0
                return SinkUnavailableError(what)
            return EventRefusedError(what)
        return None

    def _note_taken(self, messages: Sequence[Message], *, is_replay: bool) -> None:
        """Remember what the sink has. The note reaches the disk a little later: after a crash that is delivered again."""
        if not messages:
            return
        self._failures = self._refusals = 0
        self._delivered += len(messages)
        self._advance(messages, is_replay=is_replay, delivered=len(messages))

    def _refuse(self, message: Message, refusal: EventRefusedError, *, is_replay: bool) -> None:
        """Try an event again a few times, then make it a dead letter."""
        self._refusals += 1
        if self._refusals < self._retry.max_refusals:
            self._stopping.wait(self._jitter(self._retry.initial_wait_seconds))
            return
        _logger.error("sink %s can never take event %s, now a dead letter: %s", self.name, message.id, refusal)
        self._refusals = 0
        self._dead += 1
        self._outbox.note(partial(OutboxFile.bury, sink=self.name, message=message, reason=str(refusal)))
        self._advance([message], is_replay=is_replay, delivered=0)

    def _advance(self, messages: Sequence[Message], *, is_replay: bool, delivered: int) -> None:
        positions = [message.position for message in messages]
        if is_replay:
            self._outbox.note(partial(OutboxFile.finish_replays, sink=self.name, positions=positions))
            self._outbox.flush(IDLE_SECONDS)  # the next look at the replays must not find them again
        else:
            self._position = positions[-1]
            self._outbox.note(partial(OutboxFile.acknowledge, sink=self.name, position=positions[-1], count=delivered))

    def _pause(self, failure: SinkError) -> None:
        """Leave the sink alone for a while."""
        self._failures += 1
        is_faulty = isinstance(failure, SinkFaultError)
        state: SinkState = "faulty" if is_faulty else "retrying"
        if self._state != state:
            _logger.log(
                logging.ERROR if is_faulty else logging.WARNING,
                "sink %s: %s (%d events wait; %s)",
                *(self.name, failure, self.status().waiting),
                "none is delivered until that is mended" if is_faulty else "it is tried again for as long as it takes",
            )
        if (self._state, self._error) != (state, str(failure)):
            self._report(state, str(failure))
        longest = self._retry.max_wait_seconds
        growing = self._retry.initial_wait_seconds * 2.0 ** min(self._failures - 1, 32)
        self._stopping.wait(self._jitter(longest if is_faulty else min(longest, growing)))

    def _note_up(self) -> None:
        if self._state != "up":
            if self._error:
                _logger.warning("sink %s takes events again", self.name)
            self._failures = 0
            self._report("up", None)

    def _report(self, state: SinkState, error: str | None) -> None:
        self._state, self._error = state, error
        self._outbox.note(partial(OutboxFile.report, sink=self.name, state=state, error=error))

    @staticmethod
    def _jitter(longest_seconds: float) -> float:
        """Draw a wait, so that the boxes behind a broker that was off do not all call at once."""
        return random.uniform(0.0, longest_seconds)  # noqa: S311  # no secret depends on it
