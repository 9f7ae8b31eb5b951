"""The log of outages is short."""

import time

import pytest

from edge_hoi.ingest.outage_log import OutageLog


@pytest.fixture
def at(monkeypatch, caplog):
    """Return a function that sets the time and returns the lines since its last call."""

    def lines(seconds):
        before = [record.getMessage() for record in caplog.records]
        caplog.clear()
        monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + seconds)
        return before

    return lines


def test_one_line_when_a_source_goes_one_when_it_is_back_and_one_in_ten_minutes(at):
    log = OutageLog("door")
    at(0)
    log.lost(OSError("no answer."))
    assert at(0) == ["door: no answer. It is tried again until it is back."]
    for second in range(5, 600, 5):
        at(second)
        log.lost(OSError("no answer."))
    assert at(600) == []
    log.lost(OSError("another answer."))
    assert at(1199) == ["door: still away after 10 min (attempts: 121): another answer."]
    log.lost(OSError("no answer."))
    assert at(1200) == []
    log.back()
    assert at(1200) == ["door: back after 20 min (attempts: 122)"]


def test_a_source_that_comes_and_goes_gives_two_lines_a_minute_and_the_others_are_counted(at):
    log = OutageLog("door")
    lines = []
    for second in range(0, 120, 2):
        lines += at(second)
        log.lost(OSError("it broke."))
        lines += at(second + 1)
        log.back()
    lines += at(120)
    assert lines == [
        "door: it broke. It is tried again until it is back.",
        "door: back after 1 s (attempts: 1)",
        "door: it broke. It is tried again until it is back. (30 short outages before were not reported)",
        "door: back after 1 s (attempts: 1)",
    ]


def test_a_source_that_was_never_away_is_not_back(at):
    at(0)
    OutageLog("door").back()
    assert at(0) == []


def test_an_outage_that_is_reported_late_does_not_count_itself(at):
    log = OutageLog("door")
    at(0)
    log.lost(OSError("it broke."))
    at(1)
    log.back()
    at(2)
    log.lost(OSError("it broke."))  # within the pause after the last line
    at(90)
    log.lost(OSError("it broke."))
    assert at(90) == ["door: it broke. It is tried again until it is back."]
