"""The exported program, which torch-tensorrt compiles."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.export.program import export_program
from edge_hoi.model import LastLayer
from edge_hoi.runtime import OUTPUT_NAMES


@pytest.mark.slow
def test_the_program_equals_the_network_at_any_size_and_batch_and_contains_no_paths(tiny_checkpoint, tmp_path):
    model = tiny_checkpoint.model
    side, stride = model.clip.image_size, model.config.backbone_stride
    network = LastLayer(model).eval()
    export_program(network, tmp_path / "model.pt2", clip_size=side, stride=stride)
    program = torch.export.load(tmp_path / "model.pt2").module()
    generator = torch.Generator().manual_seed(0)
    for batch, rows, columns in ((1, 3, 5), (3, 4, 2)):
        image = torch.randn(batch, 3, rows * stride, columns * stride, generator=generator)
        clip_image = torch.randn(batch, 3, side, side, generator=generator)
        with torch.no_grad():
            results, expected = program(image, clip_image), network(image, clip_image)
        for name, result in zip(OUTPUT_NAMES, results, strict=True):
            torch.testing.assert_close(result, getattr(expected, name), atol=1e-5, rtol=0)
    assert b"edge_hoi/model" not in (tmp_path / "model.pt2").read_bytes()
