"""Compile one ONNX file into one plan in a separate process: `python -m edge_hoi.runtime.tensorrt_builder REQUEST`.

One process per build, because a failed build can affect the next one, and to free the builder's memory. REQUEST is a `BuildRequest` in
JSON. Each line of the output is JSON too: `{"share": …}` while it works, finally `{"seconds": …, "layers": …}` or `{"error": …}`.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_hoi.errors import EdgeHoiError, EngineError
from edge_hoi.runtime.onnx_scan import MAX_BYTES, check_onnx
from edge_hoi.runtime.plan import AMPERE_AND_LATER, Plan
from edge_hoi.runtime.tensorrt_layers import parse_layers
from edge_hoi.runtime.tensorrt_library import load_library, make_logger
from edge_hoi.runtime.verified_file import verified_copy
from edge_hoi.unfinished import writing_file

INT8_SUBSTITUTED = "Defaulting to INT8"
"""Part of TensorRT's warning that it replaces another eight-bit type, with another zero point, by INT8: results would be wrong."""


@dataclass(frozen=True)
class BuildRequest:
    """What to compile.

    Attributes:
        model: The network's file.
        sha256: Its hash.
        output: The file to write.
        plan: A `Plan` as JSON.
        timing_cache: TensorRT's cache of kernel timings, if any.
    """

    model: str
    sha256: str
    output: str
    plan: str
    timing_cache: str | None = None


def main() -> None:
    """Run the request in the first argument."""
    serve(_compile)


def serve(compile_network: Callable[[BuildRequest, Plan], dict[str, Any]]) -> None:
    """Run the request in the first argument and print the result of `compile_network`: seconds and layers."""
    request = BuildRequest(**json.loads(sys.argv[1]))
    try:
        _print_json(**compile_network(request, Plan.model_validate_json(request.plan)))
    except EdgeHoiError as error:
        _print_json(error=str(error))


def _print_json(**values: object) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201 -- the protocol


def _compile(request: BuildRequest, plan: Plan) -> dict[str, Any]:
    library = load_library(plan.backend)
    messages: list[tuple[str, str]] = []
    logger = make_logger(library, lambda severity, text: messages.append((severity, text)))
    started = time.monotonic()
    try:
        builder = library.Builder(logger)
    except TypeError as error:  # pybind11's, for the null pointer that comes back where CUDA does not start
        raise EngineError(f"{plan.backend} does not start: {_first_error(messages) or error}") from error
    network = builder.create_network(_network_flags(library))
    parser = library.OnnxParser(network, logger)
    with verified_copy(Path(request.model), request.sha256, max_bytes=MAX_BYTES) as copy:
        check_onnx(copy, Path(request.model))
        if not parser.parse_from_file(str(copy)):
            raise EngineError(f"{plan.backend} cannot read {request.model}: {parser.get_error(0).desc().strip()}")
    config = builder.create_builder_config()
    config.clear_flag(library.BuilderFlag.TF32)  # 10 bits of mantissa, which is not fp32
    config.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    config.progress_monitor = _progress_monitor(library)
    config.add_optimization_profile(_profile(builder, network, plan))
    _set_targets(library, config, plan)
    _open_timing_cache(config, request)
    compiled = builder.build_serialized_network(network, config)
    if compiled is None:
        raise EngineError(f"{plan.backend} cannot compile {request.model}: {_first_error(messages) or 'no reason given'}")
    substituted = [text for _, text in messages if INT8_SUBSTITUTED in text]
    if substituted:
        raise EngineError(f"{plan.backend} changes the network's types ({substituted[0].strip()}); build it again with `edge-hoi build`")
    Path(request.output).write_bytes(compiled)
    _save_timing_cache(config, request)
    layers = parse_layers(text for _, text in messages)
    return {"seconds": time.monotonic() - started, "layers": [asdict(layer) for layer in layers]}


def _network_flags(library: Any) -> int:  # noqa: ANN401
    flags = library.NetworkDefinitionCreationFlag
    return 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0


def _first_error(messages: list[tuple[str, str]]) -> str:
    return next((" ".join(text.split()) for severity, text in messages if severity in ("ERROR", "INTERNAL_ERROR")), "")


def _profile(builder: Any, network: Any, plan: Plan) -> Any:  # noqa: ANN401
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        # The image's height and width are dynamic in the file; all else but the batch is fixed.
        height, width = (plan.height, plan.width) if tensor.name == "image" else tuple(tensor.shape)[2:]
        smallest, largest = ((batch, tensor.shape[1], height, width) for batch in (1, plan.max_batch))
        profile.set_shape(tensor.name, smallest, largest, largest)
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
            # Its members are SM75, SM80, and so on: the last digit is the minor version.
            own = ", ".join(f"{name[2:-1]}.{name[-1]}" for name in known.__members__ if name.startswith("SM"))
            raise EngineError(
                f"tensorrt-rtx {plan.version} compiles for compute capabilities {own}, got {capability}; use backend 'tensorrt'"
            )
        config.set_compute_capability(known.__members__[name], index)


def _open_timing_cache(config: Any, request: BuildRequest) -> None:  # noqa: ANN401
    if request.timing_cache:
        path = Path(request.timing_cache)
        cache = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
        config.set_timing_cache(cache or config.create_timing_cache(b""), ignore_mismatch=False)


def _save_timing_cache(config: Any, request: BuildRequest) -> None:  # noqa: ANN401
    if request.timing_cache:
        path = Path(request.timing_cache)
        with writing_file(path, is_shared=True) as unfinished:
            unfinished.write_bytes(config.get_timing_cache().serialize())


def _progress_monitor(library: Any) -> Any:  # noqa: ANN401
    """Create a monitor that turns nested phases into the share of the work that is done."""

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
            _print_json(share=self._share(phase))
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
