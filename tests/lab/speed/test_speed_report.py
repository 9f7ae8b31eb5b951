"""Speed reports: percentiles, ratios to the baseline of the same network, JSON, tables and plot."""

import dataclasses
import json

import pytest

from edge_hoi.cli.terminal import out
from edge_hoi.lab.speed.plot import plot_speed
from edge_hoi.lab.speed.report import EngineSpeed, Footprint, Latency, SpeedReport, shares
from edge_hoi.telemetry import this_machine

STAGES = {"decode": 0.001, "preprocess": 0.001, "engine": 0.006, "postprocess": 0.002}


def engine(name, milliseconds, *, is_baseline=False, architecture="small", batches=(1, 4)):
    return EngineSpeed(
        name=name,
        backend="openvino",
        precision="int8",
        flags={"device": "CPU", "threads": "2"},
        input_size=(160, 288),
        architecture=architecture,
        latencies=tuple(Latency.of(batch, [batch * milliseconds / 1e3] * 8) for batch in batches),
        stages=STAGES,
        footprint=Footprint(opening_seconds=0.5, added_bytes=90_000_000, peak_bytes=190_000_000),
        is_baseline=is_baseline,
    )


def report(*engines):
    return SpeedReport(this_machine(["numpy"]), 0.5, {"rounds": 2}, engines, ("skipped eager PyTorch",))


def test_percentiles_and_throughput_come_from_all_runs():
    latency = Latency.of(2, [0.01] * 50 + [0.03] * 50 + [0.1])
    assert latency.median == latency.percentiles[50] == pytest.approx(0.03)
    assert latency.percentiles[99] == pytest.approx(0.03)
    assert latency.samples == 101
    assert latency.images_per_second == pytest.approx(2 * 101 / 2.1)


def test_engines_are_compared_with_the_baseline_of_their_own_network_and_batch():
    quick, eager, large = engine("quick", 5), engine("eager", 20, is_baseline=True, batches=(1,)), engine("large", 90, architecture="large")
    speeds = report(quick, eager, large)
    assert speeds.speedup(quick, quick.latencies[0]) == pytest.approx(4)
    assert speeds.speedup(quick, quick.latencies[1]) is None
    assert speeds.speedup(large, large.latencies[0]) is None


def test_shares_are_parts_of_the_whole():
    assert shares(STAGES) == pytest.approx({"decode": 0.1, "preprocess": 0.1, "engine": 0.6, "postprocess": 0.2})


def test_json_has_all_results_and_the_ratios():
    form = json.loads(json.dumps(report(engine("quick", 5), engine("eager", 20, is_baseline=True)).to_json(), allow_nan=False))
    row = form["engines"][0]
    assert row["latencies"][1]["percentiles"] == {"50": 0.02, "90": 0.02, "95": 0.02, "99": 0.02}
    assert row["latencies"][1]["times_baseline"] == pytest.approx(4)
    assert row["stage_shares"]["engine"] == pytest.approx(0.6)
    assert form["machine"]["versions"].keys() == {"numpy"}
    assert form["skipped"] == ["skipped eager PyTorch"]


def test_tables_show_every_engine_and_its_results():
    with out.capture() as printed:
        for table in report(engine("[quick]", 5), engine("eager", 20, is_baseline=True)).tables():
            out.print(table)
    text = printed.get()
    for shown in ("[quick]", "160x288", "p99 ms", "5.00", "200.0", "4.00", "6.00   60%", "190", "device CPU, threads 2", "8 runs each"):
        assert shown in text, shown


@pytest.mark.parametrize("count", [1, 3])
def test_one_and_several_engines_are_plotted(tmp_path, count):
    pytest.importorskip("matplotlib", reason="needs the extra: pip install '.[train]'")
    speeds = report(*(dataclasses.replace(engine(f"engine {number}", 5 + number), is_baseline=number == 0) for number in range(count)))
    plot_speed(speeds, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "speed.png").stat().st_size > 20_000
