"""Measuring engines side by side: the embedded one, and the choice of baselines."""

import dataclasses

import pytest
from int8_presence import int8_runs_in

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import EdgeHoiError, EngineError
from edge_hoi.lab.speed.bench import BenchSettings, bench
from edge_hoi.lab.speed.benchmark_target import EAGER, BenchmarkTarget, eager_targets
from edge_hoi.lab.speed.report import STAGES
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import fake_manifest, read_manifest

SHORT = BenchSettings(str(DEMO_CLIP), batches=(1, 2), rounds=2, runs_per_turn=2, frames=3)


def embedded(name="default", backend="openvino"):
    folder = engine_folder("default")
    return BenchmarkTarget(name, folder, read_manifest(folder), backend, "cpu", (64, 96))


def made_up(name, backend, **changes):
    return BenchmarkTarget(name, engine_folder("default"), fake_manifest(**changes), backend, "cpu", (96, 160))


@pytest.fixture(scope="module")
def measured():
    """Return the report of the embedded engine beside one that cannot be opened, and the calls of progress."""
    steps = []
    targets = [embedded(), embedded("strange", backend="no-such-backend")]
    return bench(targets, SHORT, progress=lambda *step: steps.append(step)), steps


@pytest.mark.slow
def test_an_engine_is_timed_at_every_batch_and_in_every_stage(measured):
    (engine,) = measured[0].engines
    assert (engine.name, engine.backend, engine.input_size) == ("default", "openvino", (64, 96))
    assert engine.precision == int8_runs_in()
    assert [(latency.batch, latency.samples) for latency in engine.latencies] == [(1, 4), (2, 4)]
    for latency in engine.latencies:
        assert 0 < latency.percentiles[50] <= latency.percentiles[99]
    assert tuple(engine.stages) == STAGES
    assert all(seconds > 0 for seconds in engine.stages.values())
    assert int(engine.flags["threads"]) >= 1


def test_memory_is_measured_in_a_separate_process(measured):
    cost = measured[0].engines[0].footprint
    assert cost.opening_seconds > 0
    assert 10e6 < cost.added_bytes < cost.peak_bytes < 2e9


def test_an_engine_that_cannot_be_opened_is_skipped_with_the_reason(measured):
    (line,) = measured[0].skipped
    assert line.startswith("skipped strange: open_engine expects backend")


def test_progress_is_reported_step_by_step(measured):
    _, steps = measured
    assert steps[:2] == [("memory of default", 0, 2), ("memory of strange", 1, 2)]
    assert steps[2:] == [("turns", number, 6) for number in range(1, 7)]


def test_the_report_has_the_settings(measured):
    report = measured[0]
    assert report.settings["rounds"] == 2
    assert report.settings["source"] == DEMO_CLIP.name
    assert "openvino" in report.machine.versions
    assert report.engines[0].is_baseline


def test_no_engine_that_can_be_opened_is_an_error():
    with pytest.raises(EngineError, match="skipped strange: open_engine expects backend"):
        bench([embedded("strange", backend="no-such-backend")], SHORT)


def test_a_missing_source_is_an_error_before_any_work():
    with pytest.raises(EdgeHoiError, match=r"no-such\.mp4"):
        bench([embedded()], dataclasses.replace(SHORT, source="no-such.mp4"))


def test_eager_pytorch_comes_once_for_each_network():
    same = [made_up("a", "openvino"), made_up("b", "onnxruntime")]
    assert [(eager.name, eager.backend) for eager in eager_targets(same)] == [(EAGER, "torch")]
    other = made_up("c", "openvino", architecture={"num_queries": 9})
    assert {eager.name for eager in eager_targets([*same, other])} == {f"{EAGER} of b", f"{EAGER} of c"}
    assert eager_targets([*same, made_up("d", "torch")]) == []


@pytest.mark.slow
@pytest.mark.torch
def test_eager_pytorch_is_the_baseline_where_it_is_installed():
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    targets = [embedded()]
    report = bench([*targets, *eager_targets(targets)], dataclasses.replace(SHORT, batches=(1,), rounds=1))
    quick, eager = report.engines
    assert (eager.name, eager.precision, eager.is_baseline, quick.is_baseline) == (EAGER, "fp32", True, False)
    assert report.speedup(eager, eager.latencies[0]) == 1
    assert report.speedup(quick, quick.latencies[0]) == eager.latencies[0].median / quick.latencies[0].median
