"""How many frames an engine takes in one run."""

import time
from collections import deque
from statistics import median

from edge_hoi.runtime import Engine, random_inputs

ROUNDS = 3
LONGEST_RUN_SECONDS = 0.25
"""Batches that take longer would make frames old, and engines that slow gain nothing by them."""
_GOOD_SHARE = 0.9


def choose_batch(engine: Engine) -> int:
    """Measure which batch gives the most frames a second with `engine.max_requests` runs in flight.

    Returns:
        The smallest batch that reaches nine tenths of the best rate: 1, 2, 4, ... up to `engine.max_batch`.

    Raises:
        EngineError: The engine fails.
    """
    single = _seconds(engine, 1)
    sizes = [1]
    while 2 * sizes[-1] <= engine.max_batch and 2 * sizes[-1] * single <= LONGEST_RUN_SECONDS:
        sizes.append(2 * sizes[-1])
    if len(sizes) == 1:
        return 1
    for size in sizes:  # a first run of a shape prepares it
        _seconds(engine, size)
    times = [[_seconds(engine, size) for size in sizes] for _ in range(ROUNDS)]  # in turns, as the machine may do other work
    rates = [1 / median(of_size) for of_size in zip(*times, strict=True)]
    return next(size for size, rate in zip(sizes, rates, strict=True) if rate >= _GOOD_SHARE * max(rates))


def _seconds(engine: Engine, size: int) -> float:
    """Measure the time for each image of batches with as many runs in flight as the engine computes."""
    inputs, runs = random_inputs(engine.inputs, size), 2 * engine.max_requests
    began = time.perf_counter()
    tickets = deque(engine.submit(inputs) for _ in range(engine.max_requests))
    for _ in range(runs - engine.max_requests):
        engine.result(tickets.popleft())
        tickets.append(engine.submit(inputs))
    while tickets:
        engine.result(tickets.popleft())
    return (time.perf_counter() - began) / (runs * size)
