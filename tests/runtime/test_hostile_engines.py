"""An engine's folder from a stranger: nothing of it runs as code, and what it may cost is bounded."""

import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from fake_gpu import install
from handmade import handmade_onnx, write_engine_folder

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install '.[build]'")
from onnx import TensorProto, helper, numpy_helper

import edge_hoi
from edge_hoi.errors import EngineError, ManifestError
from edge_hoi.runtime import (
    network_file,
    open_engine,
    random_inputs,
    read_manifest,
    tensor_memory,
    verified_file,
)
from edge_hoi.runtime.onnx_scan import MAX_NODES, check_onnx

BACKENDS = [
    "openvino",
    pytest.param(
        "onnxruntime",
        marks=pytest.mark.skipif(not find_spec("onnxruntime"), reason="needs the extra: pip install '.[onnxruntime]'"),
    ),
]


def changed(change) -> bytes:
    model = onnx.ModelProto.FromString(handmade_onnx())
    change(model)
    return model.SerializeToString()


def with_nodes(*nodes, **constants) -> bytes:
    """Add nodes whose output `extra`, a scalar, is added to an output of the model."""

    def change(model):
        [weight] = [each for each in model.graph.initializer if each.name == "verb_embeddings_weight"]
        weight.name = "original"
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
        every = [*nodes, helper.make_node("Add", ["original", "extra"], ["verb_embeddings_weight"]), *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(every)

    return changed(change)


def scalar_of(name: str) -> list:
    return [helper.make_node("ReduceSum", [name], ["sum"], keepdims=0), helper.make_node("Cast", ["sum"], ["extra"], to=TensorProto.FLOAT)]


def graph_of_one() -> onnx.GraphProto:
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [])
    return helper.make_graph([helper.make_node("Constant", [], ["inner"], value_float=1.0)], "inner", [], [value])


def branch(model):
    model.graph.node.append(helper.make_node("If", ["condition"], ["extra"], then_branch=graph_of_one(), else_branch=graph_of_one()))


def loop(model):
    model.graph.node.append(helper.make_node("Loop", ["count", "condition"], ["extra"], body=graph_of_one()))


def several_graphs(model):
    model.graph.node.append(helper.make_node("Identity", ["image"], ["extra"]))
    model.graph.node[-1].attribute.append(helper.make_attribute("graphs", [graph_of_one()]))


def function(model):
    opset = helper.make_opsetid("", 20)
    model.functions.append(helper.make_function("", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], [opset]))


def sparse(model):
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    places = numpy_helper.from_array(np.zeros(1, np.int64))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2**40]))


def external(model):
    weight = model.graph.initializer[-1]
    onnx.external_data_helper.set_external_data(weight, "weights.bin")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL


def external_in_a_node(model):
    tensor = numpy_helper.from_array(np.ones(4, np.float32))
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.append(helper.make_node("Constant", [], ["extra"], value=tensor))


def marked_external(model):
    model.graph.initializer[-1].data_location = TensorProto.EXTERNAL


def own_operator(model):
    model.graph.node.append(helper.make_node("Anything", ["image"], ["extra"], domain="com.example"))


def of_another_vendor(model):
    model.graph.node.append(helper.make_node("FusedConv", ["image"], ["extra"], domain="com.microsoft"))


def training(model):
    model.training_info.add().algorithm.CopyFrom(graph_of_one())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (branch, "a graph within a node"),
        (loop, "a graph within a node"),
        (several_graphs, "a graph within a node"),
        (function, "functions"),
        (sparse, "sparse tensors"),
        (external, "weights in another file"),
        (external_in_a_node, "weights in another file"),
        (marked_external, "weights in another file"),
        (own_operator, "an operator that is not ONNX's own"),
        (of_another_vendor, "an operator that is not ONNX's own"),
        (training, "a training graph"),
    ],
)
def test_a_part_that_no_network_of_this_project_needs_is_refused(tmp_path, backend, change, reason):
    (tmp_path / "weights.bin").write_bytes(bytes(1 << 16))
    write_engine_folder(tmp_path, changed(change))
    with pytest.raises(EngineError, match=rf"model\.onnx is refused: it has {reason}.*; export the network again with `edge-hoi build`$"):
        open_engine(tmp_path, backend=backend, device="cpu")


# A field 1 is two bytes; see https://protobuf.dev/programming-guides/encoding.
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no ONNX graph"),
        (b"\x08\x0a", "no ONNX graph"),  # nothing but a version
        (b"\x3a\x05\x12\x01g", "no ONNX graph"),  # a graph longer than the file
        (b"\x3b\x12\x01g\x3c", "no ONNX graph"),  # a graph as a group
        (b"\xba\x80\x80\x80\x10\x03\x12\x01g", "no ONNX graph"),  # 32 bits of this number are those of a graph's
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "no ONNX graph"),
        (b"\x08", "no ONNX graph"),
        (b"<?xml version='1.0'?><net name='a' version='11'></net>", "no ONNX graph"),
        (b"\x3a\x05\x3a\x03\x12\x01g", None),
        (b"\x3a\x03\x12\x01g\x3a\x05\x7a\x03\x12\x01g", "sparse tensors"),  # a second graph is merged with the first
        (b"\x3a\x80\x80\x80\x00", None),  # a length may have zeros in front
    ],
)
def test_encodings_that_parsers_could_read_in_another_way_are_refused(tmp_path, content, reason):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    if reason is None:
        check_onnx(path, path)
    else:
        with pytest.raises(EngineError, match=f"is refused: it has {reason}"):
            check_onnx(path, path)


@pytest.mark.parametrize(
    ("operator", "inputs", "outputs", "is_refused"),
    [
        *((operator, [], ["extra"], True) for operator in ("Conv", "GlobalMaxPool", "LogSoftmax", "Max", "Mean", "Pad", "Relu")),
        *((operator, ["image"], ["extra"], True) for operator in ("Conv", "Pad")),
        ("Clip", ["", "image"], ["extra"], True),
        ("Gemm", ["image", "weight"], [], True),
        ("Relu", ["image"], ["extra"], False),
        ("Clip", ["image", ""], ["extra"], False),
        ("Conv", ["image", "weight"], ["extra"], False),
        ("Constant", [], ["extra"], False),
        ("Constant", [], [], True),
    ],
)
def test_an_operator_without_its_inputs_or_outputs_is_refused(tmp_path, operator, inputs, outputs, is_refused):
    """OpenVINO 2026.4.1 ends the process when it reads most of those that are refused."""
    path = tmp_path / "model.onnx"
    graph = helper.make_graph([helper.make_node(operator, inputs, outputs)], "graph", [], [])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    if is_refused:
        with pytest.raises(EngineError, match="is refused: it has an operator without its inputs or outputs; export the network again"):
            check_onnx(path, path)
    else:
        check_onnx(path, path)


def test_a_number_in_the_place_of_an_input_counts_for_none(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x3a\x0d\x0a\x0b" + b"\x08\x01" + b"\x12\x01y" + b"\x22\x04Relu")
    with pytest.raises(EngineError, match="an operator without its inputs or outputs"):
        check_onnx(path, path)


def test_the_number_of_nodes_is_limited(tmp_path):
    path = tmp_path / "model.onnx"
    for nodes, is_refused in ((MAX_NODES, False), (MAX_NODES + 1, True)):
        length, varint = 8 * nodes, b""
        while length > 0x7F:
            varint, length = varint + bytes([length & 0x7F | 0x80]), length >> 7
        path.write_bytes(b"\x3a" + varint + bytes([length]) + b"\x0a\x06\x0a\x01x\x12\x01y" * nodes)
        if is_refused:
            with pytest.raises(EngineError, match="more than 50000 nodes"):
                check_onnx(path, path)
        else:
            check_onnx(path, path)


def test_the_embedded_engine_is_not_refused(repository):
    for name in ("model.onnx", "text.onnx"):
        check_onnx(repository / "engines/default" / name, Path(name))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", ["renamed", "written"])
def test_the_bytes_that_were_hashed_are_loaded_where_a_file_is_exchanged_meanwhile(tmp_path, backend, how, monkeypatch):
    write_engine_folder(tmp_path, handmade_onnx())
    options = {"backend": backend, "device": "cpu"}
    with open_engine(tmp_path, **options) as engine:
        inputs = random_inputs(engine.inputs)
        expected = engine.run(inputs)

    def exchange(copy, name):
        other = changed(lambda model: model.graph.initializer[-1].ClearField("raw_data"))
        if how == "renamed":
            (tmp_path / "other").write_bytes(other)
            (tmp_path / "other").replace(name)
        else:
            name.write_bytes(other)

    monkeypatch.setattr(network_file, "check_onnx", exchange)
    with open_engine(tmp_path, **options) as engine:
        for name, array in engine.run(inputs).items():
            np.testing.assert_array_equal(array, expected[name])
    with pytest.raises(ManifestError, match=r"model\.onnx differs"):
        open_engine(tmp_path, **options)


def test_the_manifest_that_was_read_is_the_engine_s(engine_folder):
    manifest = read_manifest(engine_folder)
    write_engine_folder(engine_folder, handmade_onnx())
    with pytest.raises(ManifestError, match=rf"expected sha256 {manifest.files['model.onnx']}"):
        open_engine(engine_folder, manifest=manifest)


def test_a_folder_does_not_choose_a_backend_that_may_run_its_code(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    install(monkeypatch)
    for backend, others in (
        ("tensorrt", "; `--backend openvino` runs"),
        ("tensorrt-rtx", "; `--backend openvino` runs"),
        ("torch-tensorrt", "; `--backend torch` runs its weights"),
    ):
        write_engine_folder(tmp_path, handmade_onnx(), backend=backend)
        with pytest.raises(EngineError, match=rf"asks for backend '{backend}', which may run code.*`--backend {backend}`.*`{others}"):
            open_engine(tmp_path)
    for backend in ("tensorrt", "tensorrt-rtx", "openvino"):
        with open_engine(tmp_path, backend=backend) as engine:
            assert engine.backend == backend


def make_pipe(path):
    os.mkfifo(path)


def make_link_to_a_device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_pipe, "cannot be read (no regular file, but a pipe, socket or device)"),
        (make_link_to_a_device, "cannot be read (no regular file, but a pipe, socket or device)"),
        (Path.mkdir, "cannot be read (Is a directory)"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40), "is larger than 4 GiB, the most for such a file"),
    ],
    ids=["pipe", "device", "folder", "a terabyte of nothing"],
)
def test_what_is_no_file_or_has_no_end_is_refused_before_it_is_read(engine_folder, make, reason):
    started = time.monotonic()
    (engine_folder / "model.onnx").unlink()
    make(engine_folder / "model.onnx")
    for read in (read_manifest, lambda folder: open_engine(folder, backend="openvino")):
        with pytest.raises(ManifestError) as caught:
            read(engine_folder)
        assert reason.replace("4 GiB", "2147483647 bytes" if read is not read_manifest else "4 GiB") in str(caught.value)
    assert time.monotonic() - started < 5


def test_a_file_of_the_largest_size_is_copied_and_one_byte_more_is_not(tmp_path):
    manifest = write_engine_folder(tmp_path, b"12345")
    with verified_file.verified_file(tmp_path, manifest, "model.onnx", max_bytes=5) as copy:
        assert copy.read_bytes() == b"12345"
    assert not copy.exists()
    with (
        pytest.raises(ManifestError, match="is larger than 4 bytes"),
        verified_file.verified_file(tmp_path, manifest, "model.onnx", max_bytes=4),
    ):
        pass


MANY = np.array([10**9], np.int64)
ONE = numpy_helper.from_array(np.array([1], np.int64))
BOMBS = {
    # Evaluated when OpenVINO reads the network: 8 GB in a file of 3 kB.
    "shape": [
        helper.make_node("ConstantOfShape", ["many"], ["ones"], value=ONE),
        helper.make_node("Tile", ["image", "ones"], ["tiled"]),
        helper.make_node("ReduceSum", ["tiled"], ["extra"], keepdims=0),
    ],
    "constant": [helper.make_node("ConstantOfShape", ["very_many"], ["ones"], value=ONE), *scalar_of("ones")],
    "activation": [
        helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "very_many"], ["wide"]),
        helper.make_node("Exp", ["wide"], ["power"]),
        helper.make_node("ReduceSum", ["power"], ["extra"], keepdims=0),
    ],
    "beyond 64 bits": [
        helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "square"], ["wide"]),
        helper.make_node("ReduceSum", ["wide"], ["extra"], keepdims=0),
    ],
    "content": [
        helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "factor"], ["product"]),
        helper.make_node("Cast", ["product"], ["count"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["count", "one"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["ones"], value=ONE),
        *scalar_of("ones"),
    ],
}
CONSTANTS = {
    "many": MANY,
    "very_many": MANY * 10**3,
    "square": np.array([2**32, 2**32], np.int64),
    "factor": np.array(1e12, np.float32),
    "one": np.array([1], np.int64),
}
OPEN = """
import pathlib, sys
from edge_hoi.runtime import open_engine
try:
    open_engine(pathlib.Path(sys.argv[1]), backend=sys.argv[2], device="cpu")
finally:
    print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])  # the most memory, in kB
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        ("shape", "OpenVINO cannot open"),
        (
            "constant",
            r"needs 8000\.0 GB for its tensors at batches of 1, image of 3x96x160 and .* of this machine's memory",
        ),
        ("activation", r"needs 8000\.0 GB for its tensors"),
        ("beyond 64 bits", r"needs 73786976294\.8 GB for its tensors"),
        ("content", "the size of its tensors depends on their content"),
    ],
)
def test_a_few_bytes_that_ask_for_gigabytes_are_refused_and_take_none(tmp_path, backend, bomb, reason):
    names = {name for node in BOMBS[bomb] for name in node.input}
    write_engine_folder(tmp_path, with_nodes(*BOMBS[bomb], **{name: value for name, value in CONSTANTS.items() if name in names}))
    result = subprocess.run([sys.executable, "-c", OPEN, tmp_path, backend], capture_output=True, text=True, timeout=60)
    last = result.stderr.strip().splitlines()[-1]
    assert re.match(rf"edge_hoi\.errors\.EngineError: .*{reason}", last), last
    assert int(result.stdout) < 600e3


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("field", [b"\x12", b"\x32", b"\xc2\x0c"], ids=["producer", "doc_string", "unknown"])
def test_a_network_of_openvino_s_own_format_within_an_onnx_file_is_not_read(tmp_path, backend, field):
    """OpenVINO by itself reads such a file as the network that stands in a text of it, which no check of ONNX sees."""
    from openvino import Model, opset13, save_model

    from edge_hoi.runtime.openvino_core import openvino_core

    images = [opset13.parameter([-1, 3, -1, -1], np.float32, name=name) for name in ("image", "clip_image")]
    save_model(Model([opset13.relu(image) for image in images], images, "hidden"), tmp_path / "hidden.xml")
    hidden = (tmp_path / "hidden.xml").read_bytes()
    before = field + bytes([len(hidden) & 0x7F | 0x80, len(hidden) >> 7]) + hidden
    (tmp_path / "both").write_bytes(before + handmade_onnx())
    assert openvino_core().read_model(tmp_path / "both").friendly_name == "hidden"
    write_engine_folder(tmp_path / "engine", before + handmade_onnx())
    with open_engine(tmp_path / "engine", backend=backend, device="cpu") as engine:
        assert set(engine.run(random_inputs(engine.inputs))) == set(engine.outputs)
    very_many = CONSTANTS["very_many"]
    write_engine_folder(tmp_path / "bomb", before + with_nodes(*BOMBS["activation"], very_many=very_many))
    with pytest.raises(EngineError, match=r"needs 8000\.0 GB for its tensors"):
        open_engine(tmp_path / "bomb", backend=backend, device="cpu")


def test_no_module_lets_openvino_choose_the_format():
    calls = {path.name: path.read_text(encoding="utf-8").count(".read_model(") for path in Path(edge_hoi.__file__).parent.rglob("*.py")}
    assert {name for name, count in calls.items() if count} == set()


def test_tensors_may_need_half_of_the_machine_s_memory_and_no_more(tmp_path, monkeypatch):
    model = with_nodes(*BOMBS["activation"], very_many=np.array([10**6], np.int64))
    write_engine_folder(tmp_path, model)
    needed = []
    monkeypatch.setattr(tensor_memory, "_peak", lambda nodes, peak=tensor_memory._peak: needed.append(peak(nodes)) or needed[-1])
    monkeypatch.setattr(tensor_memory, "physical_memory", lambda: 0)
    with pytest.raises(EngineError, match=r"needs 0\.0 GB"):
        open_engine(tmp_path)
    assert 8e6 <= needed[0] < 9e6  # two tensors of 4 MB at a time, and the images
    monkeypatch.setattr(tensor_memory, "physical_memory", lambda: 2 * int(needed[0]))
    open_engine(tmp_path).close()
    monkeypatch.setattr(tensor_memory, "physical_memory", lambda: 2 * int(needed[0]) - 2)
    with pytest.raises(EngineError, match="more than half of this machine's memory"):
        open_engine(tmp_path)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("shape", "max_batch", "reason"),
    [
        ([0, 8, 1], 1, r"it reshapes \[1,32\] to \[1,8,1\]"),
        ([0, 8, 5], 1, r"it reshapes \[1,32\] to \[1,8,5\]"),
        ([0, 8, 1], 3, r"it reshapes \[1,32\] to \[1,8,1\]"),
        ([3, 8, 4], 3, "cannot open"),  # right for a batch of three only
    ],
)
def test_reshaping_to_another_number_of_elements_is_refused(tmp_path, backend, shape, max_batch, reason):
    """OpenVINO would write beyond its memory."""

    def change(model):
        [target] = [each for each in model.graph.initializer if each.name == "human_boxes_shape"]
        target.CopyFrom(numpy_helper.from_array(np.array(shape, np.int64), target.name))

    write_engine_folder(tmp_path, changed(change))
    with pytest.raises(EngineError, match=reason):
        open_engine(tmp_path, backend=backend, device="cpu", max_batch=max_batch)


def test_a_failure_of_a_run_is_an_engine_error(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["max"], keepdims=0),
        helper.make_node("Mul", ["max", "factor"], ["product"]),
        helper.make_node("Cast", ["product"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["extra"]),
    ]
    write_engine_folder(tmp_path, with_nodes(*nodes, factor=np.array(1e9, np.float32), table=np.zeros(3, np.float32)))
    with (
        open_engine(tmp_path, backend="onnxruntime", device="cpu") as engine,
        pytest.raises(EngineError, match=r"^ONNX Runtime cannot run engine 'fake': .*indices element out of data bounds.*$"),
    ):
        engine.run(random_inputs(engine.inputs))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [b"human_boxes_weight", b"ReduceMean", b"clip_image"])
def test_a_name_that_is_no_text_is_refused_in_one_line(tmp_path, backend, name):
    write_engine_folder(tmp_path, handmade_onnx().replace(name, b"\xff\x1b[31m"[: len(name)].ljust(len(name), b"\x84"), 1))
    with pytest.raises(EngineError) as caught:
        open_engine(tmp_path, backend=backend, device="cpu")
    assert "\n" not in str(caught.value)


class OutOfMemory:
    def start_async(self, *_, **__):
        raise MemoryError


def test_memory_that_a_run_does_not_get_is_an_engine_error(tmp_path):
    write_engine_folder(tmp_path, handmade_onnx())
    with open_engine(tmp_path, backend="openvino") as engine:
        engine._free = [OutOfMemory()]
        with pytest.raises(EngineError, match=r"^OpenVINO cannot run engine 'fake': not enough memory$"):
            engine.run(random_inputs(engine.inputs))
