import pytest
from pydantic import ValidationError

from edge_hoi.events import EpisodeSettings, VerbSettings


def test_a_verbs_exceptions_override_the_general_settings():
    settings = EpisodeSettings(enter=0.7, patience_seconds=3, verbs={"ride": VerbSettings(enter=0.9)})
    assert (settings.of_verb("ride").enter, settings.of_verb("ride").patience_seconds) == (0.9, 3)
    assert settings.of_verb("hold").enter == 0.7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
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
