"""Invariants for any stream of frames."""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import DRINK, FAR_HUMAN, FAR_OBJECT, HOLD, HUMAN, NO_INTERACTION, OBJECT, RIDE, SMILE, EventPipeline, make_frame, moved

from edge_hoi.events import EpisodeSettings
from edge_hoi.events.cloudevents import encode
from edge_hoi.types import EndReason, Phase

BOXES = (HUMAN, moved(HUMAN, 25), FAR_HUMAN)
OBJECTS = (OBJECT, moved(OBJECT, 25), FAR_OBJECT)
ROWS = st.tuples(
    st.sampled_from(BOXES), st.sampled_from(OBJECTS), st.sampled_from([RIDE, HOLD, DRINK, NO_INTERACTION, SMILE]), st.floats(0, 1, width=32)
).map(lambda row: (row[0], None if row[2] == SMILE else row[1], row[2], row[3]))
FRAMES = st.tuples(
    st.sampled_from([0.03, 0.2, 0.2, 0.2, 0.0, -0.5, 1.0, 4.0]),
    st.sampled_from([False] * 9 + [True]),
    st.lists(ROWS, max_size=4),
    st.integers(1, 15),  # the same is seen in so many frames
)
SETTINGS = st.builds(
    EpisodeSettings,
    min_duration_seconds=st.sampled_from([0.0, 0.4]),
    patience_seconds=st.sampled_from([0.0, 0.4, 1.5]),
    missed_weight=st.sampled_from([0.0, 0.1, 1.0]),
    cooldown_seconds=st.sampled_from([0.0, 2.0]),
    update_interval_seconds=st.sampled_from([0.0, 0.5]),
    heartbeat_seconds=st.sampled_from([None, 0.5, 1.5]),
    max_duration_seconds=st.sampled_from([1.0, 100.0]),
    one_person_per_object=st.booleans(),
    hand_over_seconds=st.sampled_from([0.0, 2.0]),
    exclusive_groups=st.sampled_from([(), (("hold", "drink_with"),)]),
)


@settings(derandomize=True)
@given(st.lists(FRAMES, max_size=20), SETTINGS, st.lists(st.integers(0, 100), max_size=2))
def test_every_episode_starts_once_ends_once_and_counts_up(frames, episode_settings, closings):
    pipeline, events, pts, count, clock = EventPipeline(episode_settings), [], 0.0, 0, 0.0
    emitted_at = {}
    for step, is_corrupt, rows, times in frames:
        for _ in range(times):
            pts += step
            clock += max(0.0, step)
            new = pipeline.update(make_frame(pts, is_corrupt=is_corrupt), rows)
            assert not (is_corrupt and any(event.phase is Phase.STARTED for event in new))
            events += new
            emitted_at |= {(event.event_id, event.sequence): clock for event in new}
            count += 1
            if count in closings:
                events += pipeline.keeper.close(EndReason.SOURCE_LOST)
    events += pipeline.keeper.close(EndReason.SHUTDOWN)

    episodes = defaultdict(list)
    for event in events:
        episodes[event.event_id].append(event)
    for emitted in episodes.values():
        phases = [event.phase for event in emitted]
        assert phases == [Phase.STARTED, *[Phase.UPDATED] * (len(emitted) - 2), Phase.ENDED]
        assert [event.sequence for event in emitted] == list(range(len(emitted)))
        assert len({(event.start, event.verb, event.text) for event in emitted}) == 1
        assert all(event.verb != "no_interaction" and event.duration_seconds >= 0 for event in emitted)
        assert all(event.frames_seen >= 1 and 0 <= event.score.now <= event.score.peak <= 1 for event in emitted)
        updates = [event for event in emitted if event.phase is Phase.UPDATED]
        intervals = [emitted_at[each.event_id, each.sequence] - emitted_at[each.event_id, each.sequence - 1] for each in updates]
        assert all(interval >= episode_settings.update_interval_seconds - 1e-9 for interval in intervals)
        durations = [event.duration_seconds for event in emitted]
        assert durations == sorted(durations)
        if episode_settings.heartbeat_seconds is not None:
            longest = episode_settings.heartbeat_seconds + max(step for step, *_ in frames)
            assert all(
                emitted_at[after.event_id, after.sequence] - emitted_at[before.event_id, before.sequence] <= longest + 1e-9
                for before, after in pairwise(emitted[:-1])
            )
        check_fields(emitted, episodes)


def check_fields(emitted, episodes):
    first, last = emitted[0], emitted[-1]
    assert len({(event.group_id, event.start_boxes) for event in emitted}) == 1
    assert first.group_id in episodes
    assert [event.absence is not None for event in emitted] == [event.end_reason is EndReason.ABSENT for event in emitted]
    for before, after in pairwise(emitted):
        assert after.human_changes[: len(before.human_changes)] == before.human_changes or len(after.human_changes) == 16
        assert before.received_from in (None, after.received_from)
        assert before.handed_to is None
    for link in filter(None, (last.received_from, last.handed_to)):
        assert link.track_id in {event.human.track_id for event in episodes[link.event_id]} - {last.human.track_id}
    if last.handed_to:
        assert episodes[last.handed_to.event_id][-1].received_from is not None


@settings(derandomize=True, max_examples=20)
@given(st.lists(FRAMES, max_size=10), SETTINGS)
def test_the_same_frames_and_settings_give_the_same_bytes(frames, episode_settings):
    def run():
        pipeline, lines, pts = EventPipeline(episode_settings), [], 0.0
        for step, is_corrupt, rows, times in frames:
            for _ in range(times):
                pts += step
                lines += map(encode, pipeline.update(make_frame(pts, is_corrupt=is_corrupt), rows))
        return lines + [encode(event) for event in pipeline.keeper.close(EndReason.END_OF_STREAM)]

    assert run() == run()
