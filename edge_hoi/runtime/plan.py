"""A network compiled by TensorRT, as the manifest describes it."""

import re
from typing import Annotated, Literal

from pydantic import PositiveInt, StringConstraints

from edge_hoi.runtime.manifest_sections import ManifestSection, Size

MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "weights.safetensors"
AMPERE_AND_LATER = "ampere+"
MIN_DYNAMIC_BATCH = 2
"""PyTorch always treats a dimension of 1 as fixed, so torch-tensorrt compiles dynamic batches from 2 on."""

PlanBackend = Literal["tensorrt", "tensorrt-rtx", "torch-tensorrt"]


class Plan(ManifestSection):
    """The engine's network compiled by TensorRT for certain GPUs, one input size, and a largest batch.

    Attributes:
        backend: `tensorrt`, `tensorrt-rtx` or `torch-tensorrt`.
        version: Version of the library that compiled it; only this version can run it.
        compute_capabilities: Of the GPUs it runs on, such as `8.6`; `ampere+` for 8.0 and later.
        height: Of `image` in pixels.
        width: Of `image` in pixels.
        max_batch: Largest batch.
        recipe: Version of edge-hoi's compilation settings.
    """

    backend: PlanBackend
    version: Annotated[str, StringConstraints(pattern=r"^[\w.+]+$")]
    compute_capabilities: tuple[Annotated[str, StringConstraints(pattern=rf"^(\d+\.\d|{re.escape(AMPERE_AND_LATER)})$")], ...]
    height: Size
    width: Size
    max_batch: Size
    recipe: PositiveInt = 1

    @property
    def network(self) -> str:
        """File that it is compiled from, relative to the engine's folder."""
        return WEIGHTS_FILE if self.backend == "torch-tensorrt" else MODEL_FILE

    @property
    def path(self) -> str:
        """Its file, relative to the engine's folder."""
        targets = "-".join(f"sm{capability.replace('.', '')}" for capability in self.compute_capabilities)
        return f"plans/{self.backend}-{self.version}-{targets}-{self.height}x{self.width}-b{self.max_batch}-r{self.recipe}.plan"

    def serves(self, wanted: "Plan") -> bool:
        """Return whether this plan can run in place of `wanted`, a plan for one GPU."""
        fields = {"backend", "version", "height", "width", "recipe"}
        return (
            self.model_dump(include=fields) == wanted.model_dump(include=fields)
            and self.max_batch >= wanted.max_batch
            and (self.backend != "torch-tensorrt" or (self.max_batch < MIN_DYNAMIC_BATCH) == (wanted.max_batch < MIN_DYNAMIC_BATCH))
            and all(self._runs_on(capability) for capability in wanted.compute_capabilities)
        )

    def _runs_on(self, capability: str) -> bool:
        is_ampere = int(capability.partition(".")[0]) >= 8
        return capability in self.compute_capabilities or (is_ampere and AMPERE_AND_LATER in self.compute_capabilities)
