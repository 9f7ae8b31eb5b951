"""A program that puts episodes, and outages of a camera, into an outbox and delivers them to a file until it is killed.

Tests run it in a process of its own.

It prints, a line each, the ids of events once they are known to be on disk. With `hold` it writes four starts and an
`up`, and waits to be killed; with `drain` it only delivers what there is, and ends.

    python write_until_killed.py OUTBOX EVENTS [hold|drain]
"""

import sys
import threading
import uuid
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sample_events import make_episode, make_outage

from edge_hoi.outbox import Delivery, Outbox, Relay
from edge_hoi.sinks import JsonlSink


def main(outbox_path, events_path, mode=None):
    outbox = Outbox(Path(outbox_path))
    sink = JsonlSink(events_path, append=True, sync=True)
    delivery = Delivery(outbox, [Relay("file", sink, outbox, batch_size=7)])
    delivery.start()
    report("ready")
    while mode != "drain":
        for events in interleaved(4):
            delivery.put(events)
            outbox.flush(30)
            report("\n".join(f"{event.event_id}.{event.sequence:08d}" for event in events))
            if mode == "hold":
                threading.Event().wait()
    delivery.finish(threading.Event())
    delivery.close()


def report(lines):
    sys.stdout.write(f"{lines}\n")
    sys.stdout.flush()


def interleaved(count):
    """Return the events of several concurrent episodes, and of a camera that comes and goes, grouped by time."""
    name = uuid.uuid4().hex
    episodes = [*(make_episode(updates) for updates in range(count)), [replace(event, event_id=name) for event in make_outage()[:2]]]
    return [[event for event in row if event] for row in zip_longest(*episodes)]


if __name__ == "__main__":
    main(*sys.argv[1:])
