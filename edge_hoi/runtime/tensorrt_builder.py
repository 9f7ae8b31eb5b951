"""Compile one ONNX file into one plan, as a program of its own: `python -m edge_hoi.runtime.tensorrt_builder ORDER`.

A process for each build, because a build that follows a failed one may differ, and because all that the builder took is given back.
ORDER is an `Order` in JSON. Each line of the answer is JSON too: `{"share": …}` while it works, at last `{"seconds": …, "layers": …}`
or `{"error": …}`.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_hoi.errors import EdgeHoiError, EngineError
from edge_hoi.runtime.manifest import AMPERE_AND_LATER, Plan
from edge_hoi.runtime.tensorrt_layers import parse_layers
from edge_hoi.runtime.tensorrt_library import load_library, make_logger

INT8_SUBSTITUTED = "Defaulting to INT8"
"""What TensorRT says when it takes another eight-bit type, with another zero, for INT8: the numbers would be wrong."""


@dataclass(frozen=True)
class Order:
    """What is to be compiled.

    Attributes:
        model: The network's file.
        output: The file to write.
        plan: What for, as JSON.
        timing_cache: Where measured times of kernels are kept for later builds; None to keep none.
    """

    model: str
    output: str
    plan: str
    timing_cache: str | None = None


def main() -> None:
    """Do what the order in the first argument says."""
    answer(_compile)


def answer(compile_network: Callable[[Order, Plan], dict[str, Any]]) -> None:
    """Have the order in the first argument done, and say what came of it.

    Args:
        compile_network: Does it; gives the seconds that it took, and the layers.
    """
    order = Order(**json.loads(sys.argv[1]))
    try:
        _say(**compile_network(order, Plan.model_validate_json(order.plan)))
    except EdgeHoiError as error:
        _say(error=str(error))


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 -- the answer


def _compile(order: Order, plan: Plan) -> dict[str, Any]:
    library = load_library(plan.backend)
    heard: list[tuple[str, str]] = []
    logger = make_logger(library, lambda severity, text: heard.append((severity, text)))
    started = time.monotonic()
    try:
        builder = library.Builder(logger)
    except TypeError as error:  # of pybind11, which is given none where CUDA does not start
        raise EngineError(f"{plan.backend} does not start: {_complaint(heard) or error}") from error
    network = builder.create_network(_network_flags(library))
    parser = library.OnnxParser(network, logger)
    if not parser.parse_from_file(order.model):
        raise EngineError(f"{plan.backend} cannot read {order.model}: {parser.get_error(0).desc().strip()}")
    config = builder.create_builder_config()
    config.clear_flag(library.BuilderFlag.TF32)  # which keeps 10 bits of each factor and is not fp32
    config.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    config.progress_monitor = _progress_monitor(library)
    config.add_optimization_profile(_profile(builder, network, plan))
    _set_targets(library, config, plan)
    _open_timing_cache(config, order)
    compiled = builder.build_serialized_network(network, config)
    if compiled is None:
        raise EngineError(f"{plan.backend} cannot compile {order.model}: {_complaint(heard) or 'it does not say why'}")
    narrowed = [text for _, text in heard if INT8_SUBSTITUTED in text]
    if narrowed:
        raise EngineError(f"{plan.backend} changes the network's numbers ({narrowed[0].strip()}); build it again with `edge-hoi build`")
    Path(order.output).write_bytes(compiled)
    _keep_timing_cache(config, order)
    layers = parse_layers(text for _, text in heard)
    return {"seconds": time.monotonic() - started, "layers": [asdict(layer) for layer in layers]}


def _network_flags(library: Any) -> int:  # noqa: ANN401
    flags = library.NetworkDefinitionCreationFlag
    return 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0


def _complaint(heard: list[tuple[str, str]]) -> str:
    errors = [" ".join(text.split()) for severity, text in heard if severity in ("ERROR", "INTERNAL_ERROR")]
    return errors[0] if errors else ""


def _profile(builder: Any, network: Any, plan: Plan) -> Any:  # noqa: ANN401
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        # The picture's height and width are free in the file; all else but the batch is fixed.
        height, width = (plan.height, plan.width) if tensor.name == "image" else tuple(tensor.shape)[2:]
        least, most = ((batch, tensor.shape[1], height, width) for batch in (1, plan.max_batch))
        profile.set_shape(tensor.name, least, most, most)
    return profile


def _set_targets(library: Any, config: Any, plan: Plan) -> None:  # noqa: ANN401
    if plan.backend == "tensorrt":
        if plan.compute_capabilities == (AMPERE_AND_LATER,):
            config.hardware_compatibility_level = library.HardwareCompatibilityLevel.AMPERE_PLUS
        return
    known = library.ComputeCapability
    config.num_compute_capabilities = len(plan.compute_capabilities)
    for index, capability in enumerate(plan.compute_capabilities):
        name = f"SM{capability.replace('.', '')}"
        if not hasattr(known, name):
            # Its own are SM75, SM80, and so on: the last digit is the minor version.
            own = ", ".join(f"{name[2:-1]}.{name[-1]}" for name in known.__members__ if name.startswith("SM"))
            raise EngineError(
                f"tensorrt-rtx {plan.version} compiles for compute capabilities {own}, got {capability}; use backend 'tensorrt'"
            )
        config.set_compute_capability(known.__members__[name], index)


def _open_timing_cache(config: Any, order: Order) -> None:  # noqa: ANN401
    if order.timing_cache:
        path = Path(order.timing_cache)
        cache = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
        config.set_timing_cache(cache or config.create_timing_cache(b""), ignore_mismatch=False)


def _keep_timing_cache(config: Any, order: Order) -> None:  # noqa: ANN401
    if order.timing_cache:
        path = Path(order.timing_cache)
        partial = path.with_name(f"{path.name}.{Path(order.output).name}.partial")
        partial.write_bytes(config.get_timing_cache().serialize())
        partial.replace(path)


def _progress_monitor(library: Any) -> Any:  # noqa: ANN401
    """Make what is told about phases within phases, and says what share of all is done."""

    class Monitor(library.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            library.IProgressMonitor.__init__(self)
            self._phases: dict[str, tuple[str | None, int, int]] = {}  # parent, steps, steps done

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._phases[phase] = (parent, max(1, steps), 0)

        def phase_finish(self, phase: str) -> None:
            self._phases.pop(phase, None)

        def step_complete(self, phase: str, step: int) -> bool:
            parent, steps, _ = self._phases.get(phase, (None, 1, 0))
            self._phases[phase] = (parent, steps, min(steps, step + 1))
            _say(share=self._share(phase))
            return True

        def _share(self, phase: str) -> float:
            parent, steps, done = self._phases[phase]
            share = done / steps
            while parent in self._phases:
                parent, steps, done = self._phases[parent]
                share = min(1.0, (done + share) / steps)
            return share

    return Monitor()


if __name__ == "__main__":
    main()
