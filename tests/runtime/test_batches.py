"""Scores do not depend on `max_batch`, in INT8 and in fp32."""

import hashlib

import numpy as np
import pytest

from edge_hoi.runtime import onnxruntime_engine, open_engine, openvino_engine, read_manifest

ROWS = 4


@pytest.fixture(scope="module")
def default_folder(repository):
    folder = repository / "engines" / "default"
    if not folder.is_dir():
        pytest.skip("needs the checkout's engines/default")
    return folder


@pytest.fixture(params=["int8", "fp32"])
def precision(request, monkeypatch):
    """Run the INT8 engine in INT8, also where its sums saturate, or in fp32."""
    for module in (openvino_engine, onnxruntime_engine):
        monkeypatch.setattr(module, "engine_saturates", lambda manifest: request.param == "fp32")
    return request.param


def images(engine):
    """Return inputs with the statistics of images: smooth, and different from row to row."""
    generator = np.random.default_rng(5)
    inputs = {}
    for name, spec in engine.inputs.items():
        height, width = spec.shape[2:]
        coarse = generator.standard_normal((ROWS, 3, height // 16, width // 16))
        inputs[name] = np.repeat(np.repeat(coarse, 16, 2), 16, 3).astype(np.float32)
    return inputs


def digests(outputs, row):
    return {name: hashlib.sha256(array[row].tobytes()).hexdigest() for name, array in outputs.items()}


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_outputs_are_the_same_bytes_at_every_batch_and_max_batch(default_folder, precision, backend):
    pytest.importorskip(backend, reason=f"needs the extra: pip install '.[{backend}]'")
    assert read_manifest(default_folder).precision == "int8"
    with open_engine(default_folder, backend=backend, device="cpu") as engine:
        if backend == "openvino":
            assert engine.precision == precision
        inputs = images(engine)
        expected = [digests(engine.run({name: array[row : row + 1] for name, array in inputs.items()}), 0) for row in range(ROWS)]
    assert len({each["image_embedding"] for each in expected}) == ROWS
    with open_engine(default_folder, backend=backend, device="cpu", max_batch=ROWS) as engine:
        for first, last in ((0, 4), (0, 3), (2, 4), (3, 4)):
            outputs = engine.run({name: array[first:last] for name, array in inputs.items()})
            assert [digests(outputs, row - first) for row in range(first, last)] == expected[first:last]


def test_a_batch_is_computed_by_several_requests(default_folder):
    with open_engine(default_folder, device="cpu", max_batch=ROWS) as engine:
        inputs = images(engine)
        expected = engine.run(inputs)
    with open_engine(default_folder, device="cpu", max_batch=ROWS, max_requests=2) as engine:
        tickets = [engine.submit(inputs) for _ in range(2)]
        for ticket in reversed(tickets):
            for name, array in engine.result(ticket).items():
                np.testing.assert_array_equal(array, expected[name])
