"""Interleaved timing: order, number of runs, and durations."""

import time

from edge_hoi.telemetry import time_interleaved


def test_every_function_has_a_turn_in_every_round():
    order = []
    runs = {name: (lambda name=name: order.append(name)) for name in "ab"}
    turns = []
    seconds = time_interleaved(runs, rounds=2, runs_per_turn=3, warm_up=1, advance=lambda: turns.append(len(order)))
    assert "".join(order) == "ab" + ("aaaa" + "bbbb") * 2  # each turn begins with one that is not measured
    assert turns == [6, 10, 14, 18]
    assert {name: len(values) for name, values in seconds.items()} == {"a": 6, "b": 6}


def test_longer_functions_have_longer_durations():
    seconds = time_interleaved({"slow": lambda: time.sleep(0.02), "quick": lambda: None}, rounds=2, runs_per_turn=2, warm_up=0)
    assert min(seconds["slow"]) >= 0.02
    assert min(seconds["quick"]) < 0.02


def test_no_functions_give_no_durations():
    assert time_interleaved({}, rounds=3, runs_per_turn=1, warm_up=1) == {}
