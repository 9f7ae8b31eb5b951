"""Processes that are killed with SIGKILL while they write and deliver: no event on disk is lost."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "write_until_killed.py"


class Writer:
    """A program in a process of its own, and the ids that it reported to be on disk."""

    def __init__(self, *arguments, program=PROGRAM):
        self.known = []
        self.is_ready = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, str(program), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            if line == "ready\n":
                self.is_ready.set()
            elif line.endswith("\n"):
                self.known.append(line.strip())

    def kill_after(self, seconds):
        assert self.is_ready.wait(60), self.process.stderr.read()
        deadline = time.monotonic() + 60
        while not self.known and time.monotonic() < deadline:  # on a busy machine, the first event takes longer than the wait
            time.sleep(0.01)
        time.sleep(seconds)
        self.process.kill()
        return self.end()

    def end(self):
        complaints = self.process.stderr.read()
        self.process.wait(60)
        self.reader.join(60)
        self.process.stdout.close()
        self.process.stderr.close()
        return complaints


def check_episodes(lines):
    """Check the delivery guarantees for every episode, and time that a camera is up; return the ids of all events and the end reasons."""
    bodies = {}
    episodes = defaultdict(list)
    for line in lines:
        event = json.loads(line)
        if event["id"] in bodies:
            assert bodies[event["id"]] == line  # a duplicate, with equal bytes
            continue
        bodies[event["id"]] = line
        data, kind = event["data"], event["type"].split(".")[-2]
        phase = {"up": "started", "down": "ended"}.get(kind, kind)
        episodes[event["subject"]].append((int(event["sequence"]), phase, data.get("end_reason", data.get("error_code"))))
    for rows in episodes.values():
        assert [sequence for sequence, _, _ in rows] == list(range(len(rows)))
        assert rows[0][1] == "started"
        assert [phase for _, phase, _ in rows].count("started") == 1
        assert rows[-1][1] == "ended"
        assert [phase for _, phase, _ in rows].count("ended") == 1
    return set(bodies), [rows[-1][2] for rows in episodes.values()]


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_nothing_that_was_on_disk_is_lost_and_every_episode_has_one_start_and_one_end(tmp_path, kills):
    outbox, events = tmp_path / "outbox.sqlite", tmp_path / "events.jsonl"
    moment = random.Random(7)
    known = []
    for _ in range(kills):
        writer = Writer(outbox, events, *([] if known else ["hold"]))
        assert writer.kill_after(moment.uniform(0.0, 0.4)) == ""
        known += writer.known
    drain = Writer(outbox, events, "drain")
    assert drain.end() == ""
    assert drain.process.returncode == 0
    arrived, reasons = check_episodes(events.read_text().splitlines())
    assert len(known) > kills  # also on a busy machine
    assert set(known) <= arrived
    assert 5 <= reasons.count("restart") <= 5 * kills
    assert list(tmp_path.glob("*damaged*")) == []
