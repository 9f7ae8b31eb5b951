import json

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import ConfigError
from edge_hoi.model import VARIANTS, HoiclipConfig


@pytest.mark.parametrize("name", VARIANTS)
def test_config_survives_a_round_trip_through_json(name):
    assert HoiclipConfig.from_json(json.loads(json.dumps(VARIANTS[name].to_json()))) == VARIANTS[name]


def test_the_default_stride_is_32():
    values = VARIANTS["tiny"].to_json()
    del values["backbone_stride"]
    assert HoiclipConfig.from_json(values).backbone_stride == 32


def test_config_names_the_nearest_known_setting_for_an_unknown_one():
    with pytest.raises(ConfigError, match=r"unknown model setting 'num_query'; did you mean 'num_queries'"):
        HoiclipConfig.from_json({"num_query": 64})


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"width": 250}, "multiple of 4 and of num_heads"),
        ({"num_queries": 0}, "num_queries must be a whole number from 1 to 65536, got 0"),
        ({"width": "wide"}, "width must be a whole number"),
        ({"backbone_stride": 8}, "backbone_stride must be 16 or 32, got 8"),
        ({"backbone_depths": (3, 4, 6)}, "backbone_depths must be four numbers"),
    ],
)
def test_config_refuses_invalid_values(setting, words):
    with pytest.raises(ConfigError, match=words):
        HoiclipConfig(**setting)
