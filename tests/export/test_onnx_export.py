"""The exporter, on small modules."""

import hashlib
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import onnx
import onnxruntime

from edge_hoi.errors import EngineError
from edge_hoi.export import export_onnx
from edge_hoi.export import onnx as exporter


class Outputs(NamedTuple):
    boxes: torch.Tensor
    embedding: torch.Tensor


class Small(torch.nn.Module):
    def __init__(self, fault=None):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 6, 4, stride=4)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.dropout = torch.nn.Dropout(0.5)
        self.fault = fault

    def forward(self, image, clip_image):
        features = self.dropout(self.conv(image)).mean((2, 3))
        if self.fault is not None and not torch.compiler.is_exporting() and len(image) == 2:
            features = features + self.fault
        embedding = torch.nn.functional.normalize(features[:, :3] + clip_image.mean((2, 3)), dim=-1)  # ties the two batches
        return Outputs(features.sigmoid(), embedding)


TRACED = []


@pytest.fixture
def trace_once(monkeypatch):
    """Convert `Small` once for all tests of what follows."""
    trace = exporter.trace

    def trace_or_copy(module, example, dynamic):
        module.eval()
        if not TRACED:
            TRACED.append(trace(Small(), example, dynamic))
        return deepcopy(TRACED[0])

    monkeypatch.setattr(exporter, "trace", trace_or_copy)


def test_the_file_has_the_names_and_dynamic_axes_that_engines_need(tmp_path, trace_once):
    path = tmp_path / "model.onnx"
    assert export_onnx(Small(), path, clip_size=8, stride=4) < 1e-6
    model = onnx.load(path)
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {
        "image": ["batch", 3, "height", "width"],
        "clip_image": ["batch", 3, 8, 8],
        "boxes": ["batch", 6],
        "embedding": ["batch", 3],
    }
    assert model.opset_import[0].version == 20
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.slow
def test_equal_weights_give_equal_bytes_without_paths(tmp_path, repository):
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    export_onnx(Small(), first, clip_size=8, stride=4)
    export_onnx(Small(), second, clip_size=8, stride=4)
    content = first.read_bytes()
    assert hashlib.sha256(content).digest() == hashlib.sha256(second.read_bytes()).digest()
    for trace in (str(repository), "site-packages", ".py", "stack_trace"):
        assert trace.encode() not in content


@pytest.mark.parametrize("fault", [0.1, float("nan")])
def test_a_file_that_differs_from_torch_in_one_case_is_not_written(tmp_path, trace_once, fault):
    with pytest.raises(EngineError, match=r"expected ONNX Runtime to agree with torch within 0\.001, got (0\.\d+|nan); "):
        export_onnx(Small(fault), tmp_path / "model.onnx", clip_size=8, stride=4)
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_file_is_not_written(tmp_path, trace_once, monkeypatch):
    trace = exporter.trace

    def trace_and_damage(*arguments):
        model = trace(*arguments)
        model.graph.node[0].op_type = "Nonsense"
        return model

    monkeypatch.setattr(exporter, "trace", trace_and_damage)
    with pytest.raises(EngineError, match=r"exported model\.onnx is not valid ONNX"):
        export_onnx(Small(), tmp_path / "model.onnx", clip_size=8, stride=4)
    assert list(tmp_path.iterdir()) == []


def test_weights_too_large_for_one_file_go_to_a_second_one(tmp_path, trace_once, monkeypatch):
    monkeypatch.setattr(exporter, "_LARGEST_FILE", 100)
    path = tmp_path / "model.onnx"
    export_onnx(Small(), path, clip_size=8, stride=4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"image": np.zeros((1, 3, 8, 8), np.float32), "clip_image": np.ones((1, 3, 8, 8), np.float32)})
    with torch.inference_mode():
        expected = Small().eval()(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8))
    np.testing.assert_allclose(outputs[0], expected.boxes.numpy(), atol=1e-6)
