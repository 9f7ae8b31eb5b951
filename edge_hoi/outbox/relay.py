"""A sink's delivery thread: it takes events from the outbox to the sink, and retries until that succeeds."""

import logging
import random
import sqlite3
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from edge_hoi.errors import DeliveryError, EdgeHoiError, EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.masking import get_logger, mask
from edge_hoi.outbox.file import OutboxFile
from edge_hoi.outbox.outbox import Outbox
from edge_hoi.outbox.reader import OutboxReader
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.settings import RetrySettings
from edge_hoi.sinks.sink import Sink

_logger = get_logger(__name__)

IDLE_SECONDS = 1.0
"""How often an idle relay checks for replay requests."""

SinkState = Literal["connecting", "up", "retrying", "faulty"]


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """The present status of a sink.

    Attributes:
        name: Its name.
        state: `connecting` before its first success; `up`; `retrying` after a temporary failure; `faulty` if it needs operator action,
            and is retried at the longest interval.
        waiting: Stored events not yet delivered to it.
        delivered: Events delivered to it in this run.
        dead: Dead letters of this run.
        failures: Consecutive failures.
        error: The newest failure; None once it is up again.
    """

    name: str
    state: SinkState
    waiting: int
    delivered: int
    dead: int
    failures: int
    error: str | None


class Relay:
    """Delivers the outbox's events to one sink, in order, each at least once, independently of other sinks.

    Temporary failures are retried without limit, with exponential backoff and full jitter. An event that the sink can never accept
    becomes a dead letter after a few attempts.
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
        """Register the sink in the outbox by its name; `start` starts the thread, which uses and closes the sink.

        With `skip_backlog`, events that an earlier run left undelivered are skipped.
        """
        self.name = name
        self._sink = sink
        self._outbox = outbox
        self.skips_backlog = skip_backlog
        self._batch_size = batch_size
        self._retry = retry or RetrySettings()
        self._position = outbox.register(name, skip_backlog=skip_backlog)
        self._state: SinkState = "connecting"
        self._error: str | None = None
        self._delivered = self._dead = self._failures = self._refusals = 0
        self._one_by_one_until = 0
        self._stopping = threading.Event()
        # A daemon, because a sink that hangs cannot be interrupted: `stop` leaves it behind, and its batch is delivered again.
        self._thread = threading.Thread(target=self._run, name=f"deliver-{name}", daemon=True)

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()

    def request_stop(self) -> None:
        """Make the thread end, without waiting for it."""
        self._stopping.set()
        self._outbox.wake()

    def stop(self, timeout_seconds: float) -> bool:
        """Stop delivering; return False if the thread still hangs in the sink after `timeout_seconds` and was left behind."""
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def status(self) -> SinkStatus:
        """Return the sink's present status."""
        waiting = max(0, self._outbox.last_position - self._position)
        return SinkStatus(self.name, self._state, waiting, self._delivered, self._dead, self._failures, self._error)

    def _run(self) -> None:
        try:
            with self._outbox.reader() as reader:
                while not self._stopping.is_set():
                    self._step(reader)
                self._sink.close()
        except Exception:
            _logger.exception("sink %s: internal error in its delivery thread; please report it", self.name)
            self._state, self._error = "faulty", "internal error in its delivery thread; see the log"

    def _step(self, reader: OutboxReader) -> None:
        """Deliver the next batch, or wait for one."""
        try:
            limit = 1 if self._position < self._one_by_one_until else self._batch_size
            messages = self._outbox.held_after(self._position, limit) or reader.after(self._position, limit)
            is_replay = not messages and self._outbox.write_error is None  # while nothing can be written, a replay would not end
            if is_replay:
                messages = reader.replays(self.name, self._batch_size)
        except (sqlite3.Error, DeliveryError) as error:
            self._back_off(SinkUnavailableError(f"cannot read the outbox: {error}; check its disk"))
            return
        failure = self._try_to_deliver(messages)
        delivered = len(messages) if failure is None else failure.delivered
        self._acknowledge(messages[:delivered], is_replay=is_replay)
        if isinstance(failure, EventRefusedError):
            self._refuse(messages[delivered], failure, is_replay=is_replay)
        elif failure is not None:
            self._back_off(failure)
        else:
            self._mark_up()
            if not messages:
                self._outbox.wait_for_event_after(self._position, IDLE_SECONDS, self._stopping)

    def _try_to_deliver(self, messages: Sequence[Message]) -> SinkError | None:
        """Deliver a batch; return the failure, if any."""
        is_open = False
        try:
            self._sink.open()
            is_open = True
            if messages:
                self._sink.deliver(messages)
        except SinkError as error:
            return error
        except EdgeHoiError as error:
            return SinkUnavailableError(str(error))
        except Exception as error:  # a bug of the sink; the exception's text may contain a password
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"internal error in the sink: {type(error).__name__} in {place.name}, line {place.lineno} of {place.filename}"
            if is_open and len(messages) == 1:
                return EventRefusedError(what)
            if is_open:  # find the event that triggers it
                self._one_by_one_until = messages[-1].position
            return SinkUnavailableError(what)
        return None

    def _acknowledge(self, messages: Sequence[Message], *, is_replay: bool) -> None:
        """Record delivered messages. The record reaches the disk a little later: after a crash in between they are delivered again."""
        if not messages:
            return
        self._failures = self._refusals = 0
        self._delivered += len(messages)
        self._advance(messages, is_replay=is_replay, delivered=len(messages))

    def _refuse(self, message: Message, refusal: EventRefusedError, *, is_replay: bool) -> None:
        """Retry an event a few times, then make it a dead letter."""
        self._refusals += 1
        if self._refusals < self._retry.max_refusals:
            self._stopping.wait(self._jitter(self._retry.initial_wait_seconds))
            return
        reason = mask(str(refusal))
        _logger.error("sink %s refused an event of episode %s, now a dead letter: %s", self.name, message.event_id, reason)
        self._refusals = 0
        self._dead += 1
        self._outbox.submit(partial(OutboxFile.add_dead_letter, sink=self.name, message=message, reason=reason))
        self._advance([message], is_replay=is_replay, delivered=0)

    def _advance(self, messages: Sequence[Message], *, is_replay: bool, delivered: int) -> None:
        positions = [message.position for message in messages]
        if is_replay:
            self._outbox.submit(partial(OutboxFile.finish_replays, sink=self.name, positions=positions))
            # The next check for replays must not find them again.
            while not (self._outbox.flush(IDLE_SECONDS) or self._outbox.write_error or self._stopping.is_set()):
                pass
        else:
            self._position = positions[-1]
            self._outbox.submit(partial(OutboxFile.acknowledge, sink=self.name, position=positions[-1], count=delivered))

    def _back_off(self, failure: SinkError) -> None:
        """Record a failure, and wait before the next attempt."""
        self._failures += 1
        error = mask(str(failure))
        is_faulty = isinstance(failure, SinkFaultError)
        state: SinkState = "faulty" if is_faulty else "retrying"
        if self._state != state:
            _logger.log(
                logging.ERROR if is_faulty else logging.WARNING,
                "sink %s: %s (%d events wait; %s)",
                *(self.name, error, self.status().waiting),
                "none is delivered until this is fixed" if is_faulty else "retrying until it succeeds",
            )
        if (self._state, self._error) != (state, error):
            self._report(state, error)
        longest = self._retry.max_wait_seconds
        growing = self._retry.initial_wait_seconds * 2.0 ** min(self._failures - 1, 32)
        self._stopping.wait(self._jitter(longest if is_faulty else min(longest, growing)))

    def _mark_up(self) -> None:
        if self._state != "up":
            if self._error:
                _logger.warning("sink %s is up again", self.name)
            self._failures = 0
            self._report("up", None)

    def _report(self, state: SinkState, error: str | None) -> None:
        self._state, self._error = state, error
        self._outbox.submit(partial(OutboxFile.report, sink=self.name, state=state, error=error))

    @staticmethod
    def _jitter(longest_seconds: float) -> float:
        """Draw a wait, so that the devices behind a broker that was down do not all reconnect at once."""
        return random.uniform(0.0, longest_seconds)  # noqa: S311  # no secret depends on it
