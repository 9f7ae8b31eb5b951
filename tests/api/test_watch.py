"""`edge_hoi.watch`: the pipeline of `edge-hoi run` as an iterator."""

import asyncio
import gc
import json
import threading
import time

import pytest

import edge_hoi as hoi
from edge_hoi.events.cloudevents import render


def test_events_are_those_that_the_command_writes(tmp_path):
    path = tmp_path / "events.jsonl"
    config = hoi.RunConfig.model_validate({"sources": [{"url": str(hoi.DEMO_CLIP)}], "sinks": [{"type": "jsonl", "path": str(path)}]})
    with hoi.watch(config, max_frames=60) as watch:
        events = list(watch)
        assert watch.statuses[0].frames == 60
        assert watch.lost == []
    assert events[0].phase is hoi.Phase.STARTED
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert written == [json.loads(json.dumps(render(event))) for event in events]


def test_stopping_ends_open_episodes_in_order():
    with hoi.watch(str(hoi.DEMO_CLIP)) as watch:
        events = [next(watch)]
        threading.Thread(target=watch.stop).start()
        events += watch
    assert [event.phase for event in events][-1] is hoi.Phase.ENDED
    started = {event.event_id for event in events if event.phase is hoi.Phase.STARTED}
    assert started == {event.event_id for event in events if event.phase is hoi.Phase.ENDED}
    assert watch.statuses[0].state == "stopped"


def test_leaving_early_closes_everything():
    before = threading.enumerate()  # another test may have left a source that hangs
    with hoi.watch(str(hoi.DEMO_CLIP)) as watch:
        next(watch)
    after = set(threading.enumerate()).difference(before)
    assert not [thread for thread in after if thread.name.startswith(("edge-hoi-watch", "read-"))]


def test_a_watch_that_nobody_holds_ends():
    watch = hoi.watch(str(hoi.DEMO_CLIP))
    next(watch)
    del watch
    gc.collect()
    deadline = time.monotonic() + 30
    while [thread for thread in threading.enumerate() if thread.name == "edge-hoi-watch"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_asyncio_gets_the_same_events():
    async def collect():
        async with hoi.watch(str(hoi.DEMO_CLIP), max_frames=30) as watch:
            return [(event.event_id, event.sequence) async for event in watch]

    expected = [(event.event_id, event.sequence) for event in hoi.watch(str(hoi.DEMO_CLIP), max_frames=30)]
    assert asyncio.run(collect()) == expected


def test_a_yaml_configuration_can_be_watched(tmp_path):
    path = tmp_path / "cameras.yaml"
    path.write_text(f"sources:\n  - {{url: {hoi.DEMO_CLIP}, id: door}}\nvocabulary: [person sitting on chair]\nmax_frames: 30\n")
    events = list(hoi.watch(path))
    assert {(event.camera, event.text) for event in events} == {("door", "person sitting on chair")}


def test_a_source_that_cannot_be_read_raises_its_error():
    with pytest.raises(hoi.EdgeHoiError, match="there is no such file") as caught:
        list(hoi.watch("nowhere.mp4"))
    assert caught.value.code == "not_found"


def test_nothing_to_watch_is_refused():
    with pytest.raises(hoi.EdgeHoiError, match="name a source"):
        hoi.watch([])
    with pytest.raises(hoi.EdgeHoiError, match="trained on rendered images only"):
        hoi.watch("rtsp://camera/stream")

    for source in (0, b"street.mp4", [3.0]):
        with pytest.raises(hoi.EdgeHoiError, match=r"a source is a file|there is no such file; for a webcam use /dev/video0"):
            list(hoi.watch(source))


def test_a_timeout_around_an_event_loses_none():
    async def collect():
        events = []
        async with hoi.watch(str(hoi.DEMO_CLIP), max_frames=60) as watch:
            while True:
                try:
                    events.append(await asyncio.wait_for(watch.__anext__(), 0.01))
                except asyncio.TimeoutError:
                    continue
                except StopAsyncIteration:
                    return events

    expected = [event.event_id for event in hoi.watch(str(hoi.DEMO_CLIP), max_frames=60)]
    assert len(expected) > 2
    assert [event.event_id for event in asyncio.run(collect())] == expected


def test_a_cancelled_loop_does_not_wait_for_the_next_event(silent_server):
    async def wait_in_vain():
        watch = hoi.watch(f"rtsp://127.0.0.1:{silent_server.port}/stream", engine="default", allow_demo_engine=True)
        await asyncio.wait_for(watch.__anext__(), 0.5)

    started = time.monotonic()
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(wait_in_vain())
    assert time.monotonic() - started < 8
