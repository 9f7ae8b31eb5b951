"""The published architecture at full size, with random weights, on a real video in every CPU backend, compared with PyTorch."""

import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.config import parse_config
from edge_hoi.detection import Preprocessor
from edge_hoi.export import build_engine
from edge_hoi.ingest import open_source
from edge_hoi.model import VARIANTS, LastLayer
from edge_hoi.model.reference_weights import untrained_checkpoint
from edge_hoi.pipeline import build_pipeline
from edge_hoi.runtime import choose_input_size, open_engine
from edge_hoi.vocabulary import load_vocabulary

FRAMES = 2
TOLERANCE = 1e-3


class Quiet:
    is_due = False

    def show_events(self, events):
        pass

    def show_progress(self, statuses):
        pass


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(1200)
def test_a_given_video_runs_through_it_and_every_output_agrees_with_eager_torch(shared_data, tmp_path):
    video = shared_data / "video" / "vtest.avi"
    vocabulary = load_vocabulary("hico_det")
    checkpoint = untrained_checkpoint(VARIANTS["r50-vitb32"], vocabulary)
    folder = tmp_path / "engine"
    manifest = build_engine(
        checkpoint, vocabulary, folder, name="full", description="random weights", is_trained=False, with_text_tower=False
    )
    config = parse_config({"sources": [{"url": str(video)}], "engine": {"path": str(folder)}, "max_frames": FRAMES}, origin="test")
    (status,) = build_pipeline(config, note=lambda _: None).run(threading.Event(), Quiet())
    assert (status.frames, status.error) == (FRAMES, None)

    with open_source(str(video), source_id="vtest") as source:
        frames = [frame for _, frame in zip(range(FRAMES), source, strict=False)]
    height, width = choose_input_size(frames[0].width, frames[0].height, manifest.input)
    preprocess = Preprocessor(manifest.input, height=height, width=width)
    module = LastLayer(checkpoint.model).eval()
    # The preprocessor's arrays are its own, overwritten by the next call.
    inputs = [{name: array.copy() for name, array in preprocess([frame.image]).items()} for frame in frames]
    with torch.inference_mode():
        expected = [module(torch.from_numpy(one["image"]), torch.from_numpy(one["clip_image"])) for one in inputs]
    for backend in ("openvino", "onnxruntime"):
        with open_engine(folder, backend=backend, input_size=(height, width)) as engine:
            for one, reference in zip(inputs, expected, strict=True):
                for name, array in engine.run(one).items():
                    np.testing.assert_allclose(array, getattr(reference, name).numpy(), atol=TOLERANCE, rtol=0, err_msg=f"{backend} {name}")
