"""INT8 on a CPU is correct, or fp32 replaces it: without VNNI its accumulators saturate."""

import platform

import numpy as np
import pytest
from int8_presence import int8_runs_in
from openvino import Model, opset13

from edge_hoi.pipeline.engines import engine_folder, engine_opener
from edge_hoi.runtime import FakeEngine, fake_manifest, open_engine
from edge_hoi.runtime.int8_saturation import int8_saturates, remove_activation_quantisers
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.telemetry import this_machine


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors accumulate INT8 in 32 bits")
def test_int8_accumulators_saturate_on_processors_without_vnni_and_on_no_others():
    assert int8_saturates() == (not {"avx_vnni", "avx512_vnni", "amx_int8"} & set(this_machine(()).instructions))


def test_activation_quantisers_are_removed_where_several_layers_share_them():
    image = opset13.parameter([1, 3], np.float32, name="image")
    steps = opset13.fake_quantize(image, *map(np.float32, (-2, 2, -127, 127)), levels=255)
    bytes_ = opset13.convert(steps, "i8")
    shared = opset13.multiply(opset13.subtract(opset13.convert(bytes_, "f32"), np.float32(0)), np.float32(2 / 127))
    results = [opset13.multiply(shared, np.float32(factor)) for factor in (1, 10)]
    model = Model(results, [image], "shared")
    remove_activation_quantisers(model)
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values = np.array([[0.123456, -1.98765, 7.5]], np.float32)  # the last lies outside the quantisation range
    outputs = compiled({"image": values})
    np.testing.assert_allclose(outputs[0], values, rtol=1e-6)
    np.testing.assert_allclose(outputs[1], 10 * values, rtol=1e-6)


def test_the_embedded_engine_runs_in_int8_where_accumulators_do_not_saturate():
    with open_engine(engine_folder("default")) as engine:
        assert engine.manifest.precision == "int8"
        assert engine.precision == int8_runs_in()


@pytest.mark.parametrize(("built_in", "runs_in", "count"), [("int8", "fp32", 1), ("bf16", "fp32", 1), ("int8", "int8", 0)])
def test_an_engine_that_runs_in_another_precision_is_reported(tmp_path, monkeypatch, built_in, runs_in, count):
    engine, notes = FakeEngine(fake_manifest(precision=built_in)), []
    engine.precision = runs_in
    monkeypatch.setattr("edge_hoi.pipeline.engines.open_engine", lambda folder, **_: engine)
    assert engine_opener(tmp_path, engine.manifest, backend="fake", note=notes.append)((96, 160)) is engine
    assert notes == [f"engine 'fake' was built in {built_in} and runs in {runs_in} here; `edge-hoi doctor` says why"] * count
