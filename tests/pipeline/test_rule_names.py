"""Names in rules, and of rules in sinks, are checked at the start, and errors name the line of the configuration."""

import re

import pytest
from scripted import VOCABULARY

from edge_hoi.config import load_config
from edge_hoi.errors import ConfigError
from edge_hoi.pipeline.rules import check_rules

SOURCES = """\
sources:
  - url: gate.mp4
    id: gate
    zones:
      yard: [[0, 0], [1, 0], [1, 1]]
    lines:
      kerb: [[0, 0], [1, 1]]
  - {url: dock.mp4, id: dock, zones: {bay: [[0, 0], [1, 0], [1, 1]]}}
rules:
"""


def check(tmp_path, rules, sinks=""):
    path = tmp_path / "config.yaml"
    path.write_text(f"{SOURCES}{rules}\n{sinks}")
    check_rules(load_config(path), {"gate": VOCABULARY, "dock": VOCABULARY}, path)


@pytest.mark.parametrize(
    "rule",
    [
        "- {name: any}",
        "- {name: a, zones: [yard, bay], interactions: [ride *, '* cup', smile]}",
        "- {name: b, cameras: [g*], line: kerb}",
        "- {name: c, line: {name: kerb, direction: to_left}}",
    ],
)
def test_names_that_are_known_are_accepted(tmp_path, rule):
    name = re.search(r"name: (\w+)", rule)[1]
    check(tmp_path, rule, f"sinks: [{{type: jsonl, path: '-', rules: [{name}]}}]")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("- {name: a, zones: [yrad]}", "config.yaml:10: rules[0].zones[0]: there is no zone 'yrad'; did you mean 'yard'?"),
        ("- {name: a, cameras: [dock], zones: [yard]}", "there is no zone 'yard'; known here: bay"),
        ("- name: a\n- name: b\n  line: kreb", "config.yaml:12: rules[1].line: there is no line 'kreb'; did you mean 'kerb'?"),
        ("- {name: a, cameras: [dock], line: kerb}", "there is no line 'kerb'; known here: none"),
        ("- {name: a, cameras: [gte]}", "rules[0].cameras[0]: there is no camera 'gte'; did you mean 'gate'?"),
        (
            "- name: a\n  interactions:\n    - ride *\n    - hold cpu",
            "config.yaml:13: rules[0].interactions[1]: there is no interaction 'hold cpu'; did you mean 'hold cup'?",
        ),
    ],
    ids=range(6),
)
def test_names_that_nothing_has_are_refused_with_their_line(tmp_path, rule, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check(tmp_path, rule)


def test_a_sink_s_rule_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=re.escape("config.yaml:12: sinks[0].rules[0]: there is no rule 'nigth'; did you mean 'night'?")):
        check(tmp_path, "- name: night", "sinks:\n  - {type: jsonl, path: '-', rules: [nigth]}\n")


def test_two_rules_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="two rules have the name 'a'"):
        check(tmp_path, "- name: a\n- name: a")
