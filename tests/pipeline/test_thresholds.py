"""An engine's own episode levels, and what a configuration says."""

import pytest

from edge_hoi.config import parse_config
from edge_hoi.errors import ConfigError
from edge_hoi.events import EpisodeSettings, VerbSettings
from edge_hoi.pipeline.thresholds import annotate_settings, episode_settings, for_vocabulary, tracker_settings
from edge_hoi.runtime import fake_manifest
from edge_hoi.vocabulary import load_vocabulary

OWN = EpisodeSettings(enter=0.7, leave=0.65)


@pytest.mark.parametrize(
    ("own", "configured", "levels"),
    [
        (None, {}, (0.6, 0.5)),
        (OWN, {}, (0.7, 0.65)),
        (OWN, {"patience_seconds": 3}, (0.7, 0.65)),
        (OWN, {"enter": 0.6, "leave": 0.5}, (0.6, 0.5)),
        (OWN, {"leave": 0.4}, (0.7, 0.4)),
        (None, {"enter": 0.9}, (0.9, 0.5)),
    ],
)
def test_an_engines_levels_hold_where_the_configuration_names_none(own, configured, levels):
    settings = episode_settings(parse_config({"episodes": configured}, origin="test"), fake_manifest().model_copy(update={"episodes": own}))
    assert (settings.enter, settings.leave) == levels
    assert settings.patience_seconds == configured.get("patience_seconds", 1.5)


@pytest.mark.parametrize(
    ("configured", "told"),
    [({}, (0.75, 0.65, 0.4)), ({"patience_seconds": 3}, (0.75, 0.65, 0.4)), ({"leave": 0.4}, (0.6, 0.4, 0.3))],
)
def test_a_trained_engine_without_levels_has_those_of_trained_engines(configured, told):
    manifest = fake_manifest().model_copy(update={"is_trained": True})
    settings = episode_settings(parse_config({"episodes": configured}, origin="test"), manifest)
    assert (settings.enter, settings.leave, settings.smoothing_seconds) == told


@pytest.mark.parametrize(
    ("configured", "verbs"),
    [
        ({}, {"ride": (0.6, 0.5, 0.3), "carry": (0.65, 0.2, 0.4)}),
        ({"verbs": {"ride": {"enter": 0.9}}}, {"ride": (0.9, 0.5, 0.3), "carry": (0.65, 0.2, 0.4)}),
        ({"enter": 0.9}, {"ride": (0.9, 0.5, 0.3), "carry": (0.9, 0.5, 0.3)}),
    ],
)
def test_what_an_engine_says_of_single_verbs_holds_with_its_own_levels(configured, verbs):
    carry = VerbSettings(enter=0.65, min_duration_seconds=0.2, smoothing_seconds=0.4)
    own = EpisodeSettings(enter=0.7, leave=0.6, verbs={"ride": VerbSettings(enter=0.6), "carry": carry})
    settings = episode_settings(parse_config({"episodes": configured}, origin="test"), fake_manifest().model_copy(update={"episodes": own}))
    of_verbs = {verb: settings.of_interaction(verb) for verb in verbs}
    told = {verb: (each.enter, each.min_duration_seconds, each.smoothing_seconds) for verb, each in of_verbs.items()}
    assert told == verbs
    assert all(of_verb.leave == 0.6 for of_verb in of_verbs.values())


DISABLED = VerbSettings(enabled=False)
WITH_DISABLED = EpisodeSettings(
    enter=0.7,
    leave=0.6,
    verbs={"throw": DISABLED},
    interactions={"hold remote": DISABLED, "ride car": DISABLED, "ride bicycle": VerbSettings(enter=0.9)},
)


@pytest.mark.parametrize(
    ("configured", "enabled"),
    [
        ({}, {"ride bicycle": 0.9}),
        ({"enter": 0.8, "leave": 0.5}, {"ride bicycle": 0.8}),
        ({"verbs": {"throw": {"enabled": True}}}, {"throw frisbee": 0.7, "ride bicycle": 0.9}),
        ({"verbs": {"ride": {"patience_seconds": 3}}}, {"ride car": 0.7, "ride bicycle": 0.7}),
        ({"interactions": {"hold remote": {"enabled": True, "enter": 0.75}}}, {"hold remote": 0.75, "ride bicycle": 0.9}),
    ],
)
def test_what_an_engine_disables_is_disabled_until_a_configuration_names_it(configured, enabled):
    config = parse_config({"episodes": configured}, origin="test")
    settings = episode_settings(config, fake_manifest().model_copy(update={"episodes": WITH_DISABLED}))
    each = {name: settings.of_interaction(*name.split()) for name in ("throw frisbee", "hold remote", "ride car", "ride bicycle")}
    assert {name: one.enter for name, one in each.items() if one.enabled} == enabled


def test_categories_of_another_vocabulary_have_the_exceptions_of_those_they_are_mapped_onto():
    vocabulary, base = load_vocabulary("vcoco"), load_vocabulary("hico_det")
    settings = for_vocabulary(WITH_DISABLED, base, vocabulary)
    assert not settings.of_interaction("throw_obj", "frisbee").enabled
    assert settings.of_interaction("ride_instr", "bicycle").enter == 0.9
    assert settings.of_interaction("ride_instr", "horse") == WITH_DISABLED.of_interaction("ride", "horse")
    named = for_vocabulary(WITH_DISABLED.model_copy(update={"verbs": {"throw_obj": VerbSettings(enter=0.8)}}), base, vocabulary)
    assert named.of_interaction("throw_obj", "frisbee").enter == 0.8
    assert named.of_interaction("throw_obj", "frisbee").enabled


def test_levels_that_do_not_go_together_are_told():
    config = parse_config({"episodes": {"enter": 0.6}}, origin="test")
    with pytest.raises(ConfigError, match="set both `enter` and `leave`"):
        episode_settings(config, fake_manifest().model_copy(update={"episodes": OWN}))


@pytest.mark.parametrize(
    ("configured", "score"),
    [
        ({}, 0.5),
        ({"episodes": {"enter": 0.8, "leave": 0.7}}, 0.7),
        ({"episodes": {"leave": 0.6, "verbs": {"ride": {"leave": 0.3}}}}, 0.3),
        ({"episodes": {"leave": 0.6}, "tracking": {"new_track_threshold": 0.2}}, 0.2),
    ],
)
def test_tracks_begin_with_what_can_be_evidence(configured, score):
    config = parse_config(configured, origin="test")
    settings = tracker_settings(config, config.episodes)
    assert settings.new_track_threshold == score
    assert settings.min_iou == config.tracking.min_iou


@pytest.mark.parametrize(
    ("configured", "score"),
    [
        ({}, 0.5),
        ({"min_score": 0.0}, 0.0),
    ],
)
def test_a_video_shows_what_can_be_evidence_unless_the_configuration_says_otherwise(configured, score):
    config = parse_config({"annotate": {"path": "seen.mp4", **configured}}, origin="test")
    assert annotate_settings(config.annotate, 0.5).min_score == score
