"""A machine with Intel's GPUs and NPUs, as OpenVINO describes them."""

from types import SimpleNamespace

import openvino
from openvino.properties.device import Type

from edge_hoi.runtime.openvino_core import openvino_core

TYPES = {"f32": openvino.Type.f32, "f16": openvino.Type.f16, "bf16": openvino.Type.bf16}
GPU = ["FP32", "BIN", "FP16", "INT8", "EXPORT_IMPORT"]
NPU = ["FP16", "INT8", "EXPORT_IMPORT"]


class FakeCore:
    """OpenVINO's core on a machine with other devices, whose networks the CPU computes."""

    def __init__(self, devices, discrete=()):
        self.available_devices, self._devices, self._discrete = ["CPU", *devices], devices, discrete
        self.opened, self.batches = [], []

    def __getattr__(self, name):
        return getattr(openvino_core(), name)

    def get_property(self, device, name):
        if device == "CPU":
            return openvino_core().get_property(device, name)
        first = next(each for each in self.available_devices if each.startswith(device))
        return {
            "OPTIMIZATION_CAPABILITIES": self._devices[first],
            "FULL_DEVICE_NAME": f"Intel {device}",
            "DEVICE_TYPE": Type.DISCRETE if first in self._discrete else Type.INTEGRATED,
        }[name]

    def compile_model(self, model, device, config):
        self.opened.append((device, config))
        self.batches.append(model.input(0).partial_shape[0].max_length)
        if device == "CPU":
            return openvino_core().compile_model(model, device, config)
        compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        reported = {"INFERENCE_PRECISION_HINT": TYPES[config.get("INFERENCE_PRECISION_HINT", "f16")]}
        return SimpleNamespace(create_infer_request=compiled.create_infer_request, get_property=reported.__getitem__)
