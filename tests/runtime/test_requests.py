"""Several runs of an engine in flight."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edge_hoi.errors import EngineError
from edge_hoi.runtime import FakeEngine, open_engine, random_inputs


@pytest.fixture(params=["fake", "openvino", "onnxruntime"])
def make(request, handmade_folder):
    def open_(**options):
        if request.param == "fake":
            return FakeEngine()
        return open_engine(handmade_folder, backend=request.param, device="cpu", **options)

    if request.param == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    return open_


def several(engine, count):
    first = random_inputs(engine.inputs)
    return [{name: array + number for name, array in first.items()} for number in range(count)]


def assert_equal(outputs, expected):
    for name, array in expected.items():
        np.testing.assert_array_equal(outputs[name], array)


@pytest.mark.parametrize("max_requests", [1, 2, 3])
def test_results_are_those_of_single_runs_whatever_the_order_in_which_they_are_fetched(make, max_requests):
    with make(max_requests=max_requests) as engine:
        inputs = several(engine, 5)  # more than are in flight: the oldest end first
        expected = [engine.run(each) for each in inputs]
        tickets = [engine.submit(each) for each in inputs]
        for number in (4, 0, 3, 1, 2):
            assert_equal(engine.result(tickets[number]), expected[number])
        assert_equal(engine.result(tickets[0]), expected[0])  # again
    assert not np.array_equal(expected[0]["human_boxes"], expected[1]["human_boxes"])


def test_threads_share_an_engine(make):
    with make(max_requests=2) as engine, ThreadPoolExecutor(4) as threads:
        inputs = several(engine, 4)
        expected = [engine.run(each) for each in inputs]
        for _ in range(5):
            for outputs, right in zip(threads.map(engine.run, inputs), expected, strict=True):
                assert_equal(outputs, right)


def test_closing_ends_what_is_in_flight_first(make):
    engine = make(max_requests=2)
    inputs = several(engine, 2)
    expected = [engine.run(each) for each in inputs]
    tickets = [engine.submit(each) for each in inputs]
    engine.close()
    for ticket, right in zip(tickets, expected, strict=True):
        assert_equal(engine.result(ticket), right)
    with pytest.raises(EngineError, match="open"):
        engine.submit(inputs[0])


def test_invalid_inputs_are_refused_when_submitted(make):
    with make() as engine, pytest.raises(EngineError, match="expects inputs"):
        engine.submit({})


def test_an_error_belongs_to_its_ticket():
    def respond(inputs):
        if inputs["image"][0, 0, 0, 0] > 10:
            raise EngineError("out of memory")
        return outputs

    good = FakeEngine()
    inputs = random_inputs(good.inputs)
    outputs = good.run(inputs)
    with FakeEngine(respond=respond) as engine:
        tickets = [engine.submit({name: array + add for name, array in inputs.items()}) for add in (0, 100, 0)]
        with pytest.raises(EngineError, match="out of memory"):
            engine.result(tickets[1])
        for ticket in (tickets[0], tickets[2]):
            assert_equal(engine.result(ticket), outputs)


def test_an_engine_computes_one_run_at_a_time_unless_it_says_more():
    running = threading.Lock()

    def respond(inputs):
        assert running.acquire(blocking=False)
        threading.Event().wait(0.01)
        running.release()
        return outputs

    good = FakeEngine()
    inputs = random_inputs(good.inputs)
    outputs = good.run(inputs)
    with FakeEngine(respond=respond) as engine, ThreadPoolExecutor(4) as threads:
        assert engine.max_requests == 1
        assert len(list(threads.map(engine.run, [inputs] * 12))) == 12


def test_the_number_of_requests_is_at_least_one(handmade_folder):
    with pytest.raises(EngineError, match="max_requests"):
        open_engine(handmade_folder, backend="openvino", max_requests=0)
