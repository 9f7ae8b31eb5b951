"""Compiling with torch-tensorrt, as far as it goes without a GPU: with a stub for the library, and real PyTorch programs."""

import importlib.util
import json
import sys
from dataclasses import asdict
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import CheckpointError, EngineError
from edge_hoi.export import torch_tensorrt_builder as builder
from edge_hoi.hashing import sha256_of_file
from edge_hoi.model import LastLayer, save_checkpoint
from edge_hoi.model.checkpoint import published_tensors
from edge_hoi.model.checkpoint_files import read_published
from edge_hoi.pipeline.engines import engine_opener
from edge_hoi.runtime import OUTPUT_NAMES, read_manifest
from edge_hoi.runtime.plan import Plan
from edge_hoi.runtime.tensorrt_builder import BuildRequest
from edge_hoi.runtime.tensorrt_plans import compile_plan

PLAN = Plan(backend="torch-tensorrt", version="2.14.0", compute_capabilities=("8.6",), height=96, width=160, max_batch=1)


@pytest.fixture(scope="module")
def weights(tiny_checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_checkpoint(tiny_checkpoint, path)
    return path


@pytest.fixture
def library(monkeypatch):
    """Replace torch-tensorrt by a stub; return the programs and options that it gets."""
    calls = []

    def convert(program, **options):
        calls.append((program, options))
        return b"a plan"

    fake = SimpleNamespace(Input=lambda **shapes: shapes, dynamo=SimpleNamespace(convert_exported_program_to_serialized_trt_engine=convert))
    monkeypatch.setattr(builder, "load_library", lambda backend: fake)
    monkeypatch.setattr(builder, "DEVICE", "cpu")
    return calls


def compiled(weights, output, plan, capsys, monkeypatch, sha256=None):
    """Run the builder on a request and return its result."""
    request = BuildRequest(str(weights), sha256 or sha256_of_file(weights), str(output), plan.model_dump_json())
    monkeypatch.setattr(sys, "argv", ["builder", json.dumps(asdict(request))])
    builder.main()
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("max_batch", [1, 2, 4])
def test_the_program_equals_the_network_and_is_compiled_for_one_size_in_fp32(
    library, weights, tiny_checkpoint, tmp_path, capsys, monkeypatch, max_batch
):
    result = compiled(weights, tmp_path / "plan", PLAN.model_copy(update={"max_batch": max_batch}), capsys, monkeypatch)
    assert result["seconds"] > 0
    assert (tmp_path / "plan").read_bytes() == b"a plan"  # what TensorRT serialised, and nothing around it
    ((program, options),) = library
    assert options["disable_tf32"]
    assert options["output_binding_names"] == OUTPUT_NAMES
    assert not options["timing_cache_path"].startswith("/tmp/torch_tensorrt")
    side = tiny_checkpoint.model.clip.image_size
    if max_batch == 4:
        assert "VR[2, 4]" in str(program.range_constraints)
        assert [given["min_shape"] for given in options["arg_inputs"]] == [(2, 3, 96, 160), (2, 3, side, side)]
        assert [given["max_shape"] for given in options["arg_inputs"]] == [(4, 3, 96, 160), (4, 3, side, side)]
    else:
        assert [tuple(given.shape) for given in options["arg_inputs"]] == [(max_batch, 3, 96, 160), (max_batch, 3, side, side)]
    assert [node.name for node in program.graph.nodes if node.op == "placeholder"][-2:] == ["image", "clip_image"]
    network = LastLayer(tiny_checkpoint.model).eval()
    for batch in {max_batch, min(2, max_batch)}:
        inputs = [torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0)) for size in ((96, 160), (side, side))]
        with torch.no_grad():
            outputs, expected = program.module()(*inputs), network(*inputs)
        for name, output in zip(OUTPUT_NAMES, outputs, strict=True):
            torch.testing.assert_close(output, getattr(expected, name), atol=1e-5, rtol=0)


def test_other_weights_than_the_manifest_s_are_not_read(library, weights, tmp_path, capsys, monkeypatch):
    assert "differs from its manifest" in compiled(weights, tmp_path / "plan", PLAN, capsys, monkeypatch, "0" * 64)["error"]
    assert library == []


def test_a_pickle_in_the_place_of_weights_is_refused(library, tiny_checkpoint, tiny_engine, tmp_path, capsys, monkeypatch):
    path = tmp_path / "weights.safetensors"
    torch.save(published_tensors(tiny_checkpoint), path)
    assert read_published(path).tensors  # as a checkpoint it is read
    assert "are no safetensors file" in compiled(path, tmp_path / "plan", PLAN, capsys, monkeypatch)["error"]
    assert library == []
    manifest = read_manifest(tiny_engine[0]).model_copy(update={"backend": "torch", "files": {path.name: sha256_of_file(path)}})
    with pytest.raises(CheckpointError, match="are no safetensors file"):
        engine_opener(tmp_path, manifest)((96, 160))


@pytest.mark.slow
@pytest.mark.skipif(bool(importlib.util.find_spec("torch_tensorrt")), reason="torch-tensorrt is installed")
def test_the_builder_starts_in_a_process_of_its_own(weights, tmp_path):
    with pytest.raises(EngineError, match=r"backend 'torch-tensorrt' needs the package torch_tensorrt"):
        compile_plan(weights, PLAN, tmp_path / "plan")
    assert list(tmp_path.iterdir()) == []
