"""Check what a stranger's ONNX file contains before a native library parses it.

A network of this project is a plain list of standard operators with its weights. Refused is what such a network does not need and what
lets a small file use unlimited time or read other files: loops, branches, functions, sparse tensors, custom operators, external weights;
and operators without inputs or outputs, with some of which OpenVINO 2026.4.1 ends the process.
Protobuf's encoding: https://protobuf.dev/programming-guides/encoding; the numbers of fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from edge_hoi.errors import EngineError

MAX_BYTES = (2 << 30) - 1
"""Most bytes of a file: protobuf's limit."""
MAX_FIELDS = 2_000_000
MAX_NODES = 50_000
"""Beyond any network of this project; the default engine has 1136."""

_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}
"""Bytes of fields of a fixed length, by kind."""
_SUBGRAPH = "a graph within a node (Loop, If or Scan), which may run without end"
_SPARSE = "sparse tensors, which may be of any size"
_EXTERNAL = "weights in another file, which no hash covers"

_PARTS = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor"},
    "tensor": {},
}
"""Messages within messages, by number of the field."""
_REFUSED = {
    "model": {20: "a training graph", 25: "functions, which a small file can nest to any size"},
    "graph": {15: _SPARSE},
    "node": {},
    "attribute": {6: _SUBGRAPH, 11: _SUBGRAPH, 22: _SPARSE, 23: _SPARSE},
    "tensor": {13: _EXTERNAL},
}
_DOMAIN = ("node", 7)
_INPUT, _OUTPUT, _OPERATOR = 1, 2, 4
"""Fields of a node."""
_DATA_LOCATION = ("tensor", 14)
_STANDARD = (b"", b"ai.onnx")
_NO_INPUT, _TWO_INPUTS = b"Constant", (b"Conv", b"Pad")


def check_onnx(copy: Path, name: Path) -> None:
    """Check a network's file.

    Args:
        copy: The file to read.
        name: Its name for messages.

    Raises:
        EngineError: It is no ONNX file, has too many parts, or has a part that is refused.
    """
    try:
        with copy.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            reason = _find_refused(content)
    except (ValueError, IndexError):  # an empty file, and the end of the file within a field
        reason = "no ONNX graph"
    if reason:
        raise EngineError(f"{name} is refused: it has {reason}; export the network again with `edge-hoi build`")


def _find_refused(content: mmap.mmap) -> str | None:
    """Return what is refused in a file; None for a good one.

    Raises:
        IndexError: A field is longer than the file.
        ValueError: Its encoding is invalid.
    """
    pending = [("model", 0, len(content))]
    fields = nodes = graphs = 0
    while pending:
        message, start, end = pending.pop()
        parts, refused = _PARTS[message], _REFUSED[message]
        nodes += message == "node"
        graphs += message == "graph"
        if nodes > MAX_NODES:
            return f"more than {MAX_NODES} nodes"
        if message == "node" and not _is_connected(content, start, end):
            return "an operator without its inputs or outputs"
        for number, kind, value, begin, stop in _fields(content, start, end):
            fields += 1
            if fields > MAX_FIELDS:
                return f"more than {MAX_FIELDS} fields"
            if number in parts and kind == _BYTES:
                pending.append((parts[number], begin, stop))
            elif number in refused:
                return refused[number]
            elif (message, number) == _DATA_LOCATION and value:
                return _EXTERNAL
            elif (message, number) == _DOMAIN and content[begin:stop] not in _STANDARD:
                return "an operator that is not ONNX's own"
    return None if graphs else "no ONNX graph"


def _is_connected(content: mmap.mmap, start: int, end: int) -> bool:
    """Return whether a node has an output, and names its first input and has as many as its operator needs; constants need none."""
    inputs, outputs, operator = [], 0, b""
    for number, kind, _, begin, stop in _fields(content, start, end):
        if kind != _BYTES:
            continue
        if number == _INPUT:
            inputs.append(stop - begin)
        elif number == _OPERATOR:
            operator = content[begin:stop]
        outputs += number == _OUTPUT
    return outputs > 0 and (operator == _NO_INPUT or (len(inputs) > (operator in _TWO_INPUTS) and inputs[0] > 0))


def _fields(content: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield each field of a message: its number, its kind, its value if it is a number, and where its bytes begin and end."""
    while position < end:
        key = content[position]
        position += 1
        if key > 0x7F:  # rarely; a call for every field would double the time
            key, position = _varint(content, position - 1)
        if key >> 32:
            raise ValueError("parsers differ in how they read such a field's number")
        kind, value, begin = key & 7, 0, position
        if kind == _VARINT:
            value, position = _varint(content, position)
        elif kind == _BYTES:
            length = content[position]
            begin = position + 1
            if length > 0x7F:
                length, begin = _varint(content, position)
            position = begin + length
        elif kind in _FIXED:
            position += _FIXED[kind]
        else:
            raise ValueError("groups are no part of ONNX")
        if position > end:
            raise ValueError("a field is longer than its message")
        yield key >> 3, kind, value, begin, position


def _varint(content: mmap.mmap, position: int) -> tuple[int, int]:
    value = content[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number has more than ten bytes")
