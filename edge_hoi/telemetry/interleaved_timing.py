"""Time several functions in turns, so that other load on the machine affects all alike."""

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def time_interleaved(
    runs: Mapping[Name, Callable[[], object]],
    *,
    rounds: int,
    runs_per_turn: int,
    warm_up: int,
    advance: Callable[[], None] = lambda: None,
) -> dict[Name, list[float]]:
    """Time functions by name, round by round.

    A turn begins with one run that is not measured, because caches hold the data of the function before.

    Args:
        runs: The functions.
        rounds: Turns of each function.
        runs_per_turn: Measured runs of a turn.
        warm_up: Runs of each function before the first round.
        advance: Called after each turn.

    Returns:
        `rounds * runs_per_turn` wall-clock durations of each, in seconds, in the order measured.
    """
    for run in runs.values():
        for _ in range(warm_up):
            run()
    seconds: dict[Name, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            for _ in range(runs_per_turn):
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
            advance()
    return seconds
