"""A small hand-written model in an engine's folder, and as a torch module."""

import hashlib
from pathlib import Path

import pytest
from handmade import QUERIES, WIDTHS, handmade_onnx, handmade_weights, write_engine_folder

from edge_hoi.runtime import fake_manifest, write_manifest


@pytest.fixture(scope="session")
def handmade_module():
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    weights = {name: torch.from_numpy(weight) for name, weight in handmade_weights().items()}

    class Handmade(torch.nn.Module):
        def forward(self, image, clip_image):
            colours = torch.cat([image.mean((2, 3)), clip_image.mean((2, 3))], 1)
            outputs = {}
            for name, weight in weights.items():
                raw = colours @ weight.to(colours.device)
                raw = raw if name == "image_embedding" else raw.unflatten(1, (QUERIES, -1))
                outputs[name] = raw.sigmoid() if name in WIDTHS else raw / raw.norm(dim=-1, keepdim=True)
            return outputs

    return Handmade()


@pytest.fixture(scope="session")
def handmade_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "handmade"
    write_engine_folder(folder, handmade_onnx())
    return folder


@pytest.fixture(scope="session")
def handmade_program_folder(handmade_module, tmp_path_factory) -> Path:
    """Write the folder that torch-tensorrt compiles from."""
    from edge_hoi.export.program import export_program

    folder = tmp_path_factory.mktemp("engines") / "program"
    folder.mkdir()
    export_program(handmade_module, folder / "model.pt2", clip_size=32, stride=32)
    files = {"model.pt2": hashlib.sha256((folder / "model.pt2").read_bytes()).hexdigest()}
    write_manifest(folder, fake_manifest(backend="torch-tensorrt", files=files))
    return folder


@pytest.fixture
def engine_folder(tmp_path) -> Path:
    """Write a folder for one test to damage; its model cannot run."""
    folder = tmp_path / "engine"
    write_engine_folder(folder, b"no model")
    return folder
