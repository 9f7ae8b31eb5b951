"""What tests of delivery share."""

import time

import pytest

from edge_hoi.outbox import OutboxReader


@pytest.fixture
def wait_for():
    """Give a function that waits until something is so."""

    def wait(condition, seconds=60.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)

    return wait


@pytest.fixture
def read_outbox():
    """Give a function that reads every event of an outbox's file, as (episode, sequence, phase, end reason)."""

    def read(path):
        with OutboxReader(path) as reader:
            events = [message.event for message in reader.after(0, 1_000_000)]
        return [(event.event_id, event.sequence, event.phase, event.end_reason) for event in events]

    return read
