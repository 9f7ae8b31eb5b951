"""Eager PyTorch: the reference that every other backend is compared with."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import EngineError, MissingDependencyError
from edge_hoi.runtime.engine import Arrays, Device, InOrderEngine, check_device
from edge_hoi.runtime.manifest import Manifest

if TYPE_CHECKING:
    import torch


class TorchEngine(InOrderEngine):
    """A PyTorch module as an engine."""

    backend = "torch"

    def __init__(
        self,
        module: "torch.nn.Module",
        manifest: Manifest,
        *,
        input_size: tuple[int, int] | None = None,
        max_batch: int = 1,
        device: Device = "auto",
    ) -> None:
        """Move a module to the device and put it in evaluation mode.

        Args:
            module: Called as `module(image, clip_image)`; returns a mapping or a NamedTuple of the outputs.
            manifest: Describes the module, except that a module takes normalised images.
            input_size: `(H, W)` in pixels; None for the nominal size.
            max_batch: Largest batch.
            device: `auto` uses CUDA if available.

        Raises:
            EngineError: The device is neither a CPU nor CUDA, or CUDA was requested and there is no device.
            MissingDependencyError: PyTorch is not installed.
        """
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError.of_extra("backend 'torch'", "PyTorch", "build") from error
        check_device(self.backend, device)
        if device == "cuda" and not torch.cuda.is_available():
            raise EngineError(
                "PyTorch finds no CUDA device; use device 'cpu', or check the driver with nvidia-smi and install a CUDA build of torch"
            )
        described = manifest.model_copy(update={"input": manifest.input.normalised})
        super().__init__(described, input_size=input_size, max_batch=max_batch)
        self._device = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
        self.flags = {"device": self._device, "threads": str(torch.get_num_threads())}
        self._module: Any = module.to(self._device).eval()

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        import torch

        # Convolutions on CUDA run in TF32 by default, with 10 bits of mantissa, which is not fp32.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            tensors = {name: torch.tensor(array, device=self._device) for name, array in inputs.items()}
            results = self._module(tensors["image"], tensors["clip_image"])
            named = results if isinstance(results, Mapping) else results._asdict()
            return {name: np.array(tensor.cpu().numpy(), order="C") for name, tensor in named.items()}

    def _release(self) -> None:
        self._module = None
