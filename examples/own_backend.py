"""Run an engine's network with a backend of your own, here ONNX Runtime with one thread: `python examples/own_backend.py photo.jpg`.

Needs the extra `onnxruntime`. A backend takes named arrays and returns named arrays; `InOrderEngine` checks both.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import edge_hoi as hoi
from edge_hoi.runtime import Arrays, Manifest


class OneThreadEngine(hoi.InOrderEngine):
    """Runs model.onnx with one thread."""

    backend = "one-thread"

    def __init__(self, folder: Path, manifest: Manifest, *, input_size: tuple[int, int] | None, max_batch: int, **_: object) -> None:
        super().__init__(manifest, input_size=input_size, max_batch=max_batch)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        names = list(self.outputs)
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))

    def _release(self) -> None:
        del self._session


hoi.register_backend("one-thread", OneThreadEngine)
with hoi.Detector("default", backend="one-thread") as detector:
    for interaction in detector(sys.argv[1]):
        print(f"{interaction.score:.2f} {interaction.text}")
