"""Export to ONNX: the same bytes for the same weights, and checked against torch before it is written."""

import ast
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxscript import ir, optimizer
from torch import Tensor, nn
from torch.nn import functional

from edge_hoi.errors import EngineError
from edge_hoi.runtime.onnxruntime_engine import session_options

OPSET = 20
TOLERANCE = 1e-3
"""Largest absolute difference from torch; boxes lie in [0, 1] and embeddings have length 1."""

_LARGEST_FILE = 2**31 - 2**20  # protobuf's limit, less room for the graph around the weights
_LARGEST_CONSTANT = 2**28  # elements: larger than any constant of this network
_SCOPES = "pkg.torch.onnx.name_scopes"
# Example sizes for the exporter, in strides. All differ, so that no dynamic size is mistaken for another.
EXAMPLE_BATCH, EXAMPLE_ROWS, EXAMPLE_COLUMNS = 2, 3, 5

Arrays = Mapping[str, NDArray[Any]]


def export_onnx(module: nn.Module, path: Path, *, clip_size: int, stride: int) -> float:
    """Write a network that takes `image` (B, 3, H, W) and `clip_image` (B, 3, S, S), with B, H and W dynamic.

    Args:
        module: On the CPU; called as `module(image, clip_image)`, it returns a NamedTuple whose fields name the outputs.
        path: The file to write. Weights beyond 2 GB go to a second file, `PATH.data`.
        clip_size: S in pixels.
        stride: Of the network; H and W are multiples of it.

    Returns:
        The largest difference between torch and ONNX Runtime, at two sizes with batches of one and two.

    Raises:
        EngineError: The exported network is invalid or differs from torch; nothing is written then.
    """

    def inputs(batch: int, rows: int, columns: int) -> dict[str, NDArray[np.float32]]:
        generator = np.random.default_rng(batch)
        shapes = {"image": (batch, 3, rows * stride, columns * stride), "clip_image": (batch, 3, clip_size, clip_size)}
        return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}

    dynamic = ({0: "batch", 2: "height", 3: "width"}, {0: torch.export.Dim.DYNAMIC})  # the second is the same batch
    model = trace(module, inputs(EXAMPLE_BATCH, EXAMPLE_ROWS, EXAMPLE_COLUMNS), dynamic)
    return write_checked(model, path, module, [inputs(batch, *size) for size in ((4, 7), (6, 4)) for batch in (1, 2)])


def trace(module: nn.Module, example: Arrays, dynamic: Sequence[Mapping[int, Any]]) -> onnx.ModelProto:
    """Convert a module to ONNX without machine-specific metadata.

    Args:
        module: On the CPU; returns a NamedTuple. It is put in evaluation mode.
        example: Its inputs in order, with the ONNX inputs' names.
        dynamic: Names of the dynamic axes of each input.
    """
    tensors = tuple(map(torch.from_numpy, example.values()))
    with torch.inference_mode(), _quiet_exporter():
        outputs = module.eval()(*tensors)._fields
        program = torch.onnx.export(
            module,
            tensors,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=list(outputs),
            dynamic_shapes=tuple(dynamic),
            verbose=False,
        )
        assert program is not None
        _name_nodes(program.model.graph)
        _fold(program.model)
    model = program.model_proto
    _strip(model)
    return model


def write_checked(model: onnx.ModelProto, path: Path, module: nn.Module, cases: Sequence[Arrays]) -> float:
    """Write a model if it is valid and ONNX Runtime's outputs equal those of `module` on all cases; return the largest difference.

    Raises:
        EngineError: The model is invalid or its outputs differ; nothing is written then.
    """
    difference = 0.0

    def compare(partial: Path) -> None:
        nonlocal difference
        session = open_session(partial)
        difference = float(np.max([largest_difference(_run_torch(module, case), _run_session(session, case)) for case in cases]))
        check_tolerance(difference, "ONNX Runtime")

    write_valid(model, path, compare)
    return difference


def write_valid(model: onnx.ModelProto, path: Path, check: Callable[[Path], object] | None = None) -> None:
    """Write a model if it is valid and a check of its file passes.

    Args:
        model: The model; changed in place where its weights go to a second file.
        path: The file to write.
        check: Raises an error for a bad file; None to check that ONNX Runtime can read it.

    Raises:
        EngineError: The model is invalid; nothing is written then.
    """
    partial = path.with_name(f"{path.name}.partial")
    data = path.with_name(f"{path.name}.data")
    is_too_large = sum(len(weight.raw_data) for weight in model.graph.initializer) > _LARGEST_FILE
    try:
        onnx.save_model(model, partial, save_as_external_data=is_too_large, location=data.name)
        onnx.checker.check_model(partial, full_check=True)
        (check or open_session)(partial)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        data.unlink(missing_ok=True)
        if isinstance(error, onnx.checker.ValidationError):
            raise EngineError(
                f"the exported {path.name} is not valid ONNX ({str(error).splitlines()[0]}); try other versions of torch and onnx"
            ) from error
        raise
    partial.replace(path)


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a model with ONNX Runtime on the CPU, with Q/DQ rounded as in the file and multiplied in float."""
    return onnxruntime.InferenceSession(path, session_options(with_int8=False), providers=["CPUExecutionProvider"])


def largest_difference(reference: Arrays, candidate: Arrays) -> float:
    """Return the largest absolute difference between outputs of the same names; NaN if an output has NaN."""
    return float(np.max([np.abs(candidate[name] - expected).max() for name, expected in reference.items()]))


def check_tolerance(difference: float, runner: str) -> None:
    """Refuse a `largest_difference` between `runner` and torch.

    Raises:
        EngineError: It is beyond `TOLERANCE`, or NaN.
    """
    if not difference <= TOLERANCE:
        raise EngineError(
            f"expected {runner} to agree with torch within {TOLERANCE}, got {difference:.3g}; try other versions of torch and {runner}"
        )


def _run_torch(module: nn.Module, inputs: Arrays) -> dict[str, NDArray[Any]]:
    with torch.inference_mode():
        outputs: dict[str, Tensor] = module(*map(torch.from_numpy, inputs.values()))._asdict()
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def _run_session(session: onnxruntime.InferenceSession, inputs: Arrays) -> dict[str, NDArray[Any]]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _name_nodes(graph: Iterable[Any]) -> None:
    """Name nodes after their module, for messages and patterns: `model.encoder.layers.0/Softmax`."""
    used = Counter[str]()
    for node in graph:
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))  # from the outermost module's to the operation's own
        name = f"{scopes[-2] if len(scopes) > 1 else ''}/{node.op_type}"
        used[name] += 1
        node.name = name if used[name] == 1 else f"{name}.{used[name]}"


def _fold(model: Any) -> None:  # noqa: ANN401 -- the exporter's model, which has no type hints
    """Fold constants of any size; the exporter folds small ones only.

    It leaves the first decoder layer's self-attention, whose content is zero, up to the queries of its cross-attention, and weights used
    twice, which quantisers do not recognise behind a transposition. The rest of the position encodings depends on the image's size, which
    is dynamic; engines fix it when they are opened, and fold the rest.
    """
    while True:
        optimizer.fold_constants(model, input_size_limit=_LARGEST_CONSTANT, output_size_limit=_LARGEST_CONSTANT)
        norms = [node for node in model.graph if node.op_type == "LayerNormalization" and all(value.const_value for value in node.inputs)]
        if not norms:
            break
        for node in norms:
            _fold_norm(model.graph, node)
    optimizer.remove_unused_nodes(model)


def _fold_norm(graph: Any, node: Any) -> None:  # noqa: ANN401
    """Replace a layer norm by its result; the optimizer does not, because of its optional outputs."""
    tokens, weight, bias = (torch.tensor(value.const_value.numpy()) for value in node.inputs)
    result = functional.layer_norm(tokens, weight.shape, weight, bias, node.attributes["epsilon"].as_float())
    folded = ir.Value(
        name=f"{node.outputs[0].name}_folded",
        shape=ir.Shape(result.shape),
        type=ir.TensorType(ir.DataType.FLOAT),
        const_value=ir.tensor(result.numpy()),
    )
    graph.register_initializer(folded)
    ir.convenience.replace_all_uses_with(node.outputs[0], folded)
    graph.remove(node, safe=True)


def _strip(model: onnx.ModelProto) -> None:
    """Drop Python source lines and other metadata that differ between machines."""
    graph = model.graph
    for part in [model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output]:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's messages on what it does not fold, which the runtimes fold anyway."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
