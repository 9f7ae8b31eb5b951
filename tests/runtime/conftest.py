"""A small hand-written model in an engine's folder, and as a torch module."""

from pathlib import Path

import pytest
from handmade import QUERIES, WIDTHS, handmade_onnx, handmade_weights, write_engine_folder, write_weights_folder


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
def handmade_weights_folder(handmade_folder, tmp_path_factory) -> Path:
    """Write a folder for torch-tensorrt on a fake GPU, whose compiler copies the weights: they are a network in ONNX."""
    return write_weights_folder(tmp_path_factory.mktemp("engines") / "weights", (handmade_folder / "model.onnx").read_bytes())


@pytest.fixture
def engine_folder(tmp_path) -> Path:
    """Write a folder for one test to damage; its model cannot run."""
    folder = tmp_path / "engine"
    write_engine_folder(folder, b"no model")
    return folder
