"""A two-stage engine's network compiles for GPUs that are not here."""

import pytest
from handmade_two_stage import HEIGHT, WIDTH, write_detector, write_head

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.export import PlanTarget
from edge_hoi.export.photo import build_reduced_photo_engine
from edge_hoi.photo import PHOTO_HEAD, PhotoOptions
from edge_hoi.runtime import open_engine, random_inputs
from edge_hoi.runtime.plan import Plan


@pytest.fixture(scope="module")
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="needs the extra: pip install '.[tensorrt-rtx]'")


@pytest.fixture(scope="module")
def femto(shared_data):
    path = shared_data / "detector" / "deimv2_hgnetv2_femto_coco.onnx"
    if not path.is_file():
        pytest.skip("no detector in the reference data")
    return path


def build(rtx, detector, head, folder):
    target = PlanTarget(("8.6", "12.0"), max_batch=4)
    options = PhotoOptions(detector, head, backend="tensorrt-rtx")
    return build_reduced_photo_engine(options, folder, target=target)


def plan(rtx, height, width):
    capabilities = ("8.6", "12.0")
    return Plan(backend="tensorrt-rtx", version=rtx.__version__, compute_capabilities=capabilities, height=height, width=width, max_batch=4)


def test_the_small_network_compiles_and_its_folder_runs_on_a_cpu(rtx, tmp_path):
    detector, head = write_detector(tmp_path / "detector.onnx"), write_head(tmp_path / "head")
    manifest = build(rtx, detector, head, tmp_path / "engine")
    assert manifest.plans == (plan(rtx, HEIGHT, WIDTH),)
    assert (tmp_path / "engine" / manifest.plans[0].path).stat().st_size > 0
    with open_engine(tmp_path / "engine", backend="openvino") as engine:
        assert engine.run(random_inputs(engine.inputs))["human_boxes"].shape == (1, 3, 4)


@pytest.mark.slow
def test_the_published_detector_with_this_package_s_head_compiles(rtx, femto, tmp_path):
    manifest = build(rtx, femto, PHOTO_HEAD, tmp_path / "engine")
    assert manifest.plans == (plan(rtx, 416, 416),)
    network, compiled = (tmp_path / "engine" / path for path in ("model.onnx", manifest.plans[0].path))
    assert compiled.stat().st_size > network.stat().st_size / 2
