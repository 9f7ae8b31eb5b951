import pytest
from pydantic import ValidationError

from edge_hoi.events import EpisodeSettings, VerbSettings


def test_a_verbs_exceptions_override_the_general_settings():
    settings = EpisodeSettings(enter=0.7, patience_seconds=3, verbs={"ride": VerbSettings(enter=0.9)})
    assert (settings.of_interaction("ride").enter, settings.of_interaction("ride").patience_seconds) == (0.9, 3)
    assert settings.of_interaction("hold").enter == 0.7


def test_exceptions_of_an_interaction_precede_those_of_its_verb():
    settings = EpisodeSettings(
        enter=0.7,
        verbs={"hold": VerbSettings(enter=0.8, patience_seconds=3)},
        interactions={"hold remote": VerbSettings(enter=0.9), "ride bicycle": VerbSettings(enabled=False)},
    )
    of_hold, of_remote, of_bicycle = (settings.of_interaction(*name.split()) for name in ("hold cup", "hold remote", "ride bicycle"))
    assert (of_hold.enter, of_hold.patience_seconds, of_hold.enabled) == (0.8, 3, True)
    assert (of_remote.enter, of_remote.patience_seconds) == (0.9, 3)
    assert (of_bicycle.enter, of_bicycle.enabled) == (0.7, False)


@pytest.mark.parametrize(("enabled", "lowest"), [(None, 0.2), (True, 0.2), (False, 0.5)])
def test_what_is_disabled_is_no_evidence(enabled, lowest):
    assert EpisodeSettings(interactions={"hold remote": VerbSettings(leave=0.2, enabled=enabled)}).lowest_leave == lowest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interactions": {"ride": {"enter": 0.9}}}, "a verb and an object"),
        ({"interactions": {"ride bicycle": {"enter": 0.3}}}, "lower `leave`"),
        ({"enter": 0.6, "leave": 0.7}, "lower `leave`"),
        ({"verbs": {"ride": {"enter": 0.3}}}, "lower `leave`"),
        ({"verbs": {"ride": {"entr": 0.3}}}, "entr"),
        ({"patience_seconds": -1}, "patience_seconds"),
        ({"smoothing_seconds": 0}, "smoothing_seconds"),
        ({"exclusive_groups": [["ride", "hold"], ["hold", "hug"]]}, "join the groups"),
    ],
)
def test_invalid_settings_are_refused(arguments, message):
    with pytest.raises(ValidationError, match=message):
        EpisodeSettings(**arguments)
