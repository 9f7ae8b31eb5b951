"""A detector and a head of a few operators each, written by hand: what they find follows from an image's mean colour."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_hoi.detection import Classifier, write_classifier
from edge_hoi.hashing import sha256_of_file
from edge_hoi.vocabulary import load_vocabulary

HEIGHT, WIDTH = 64, 96
DETECTIONS, CLASSES, PAIRS = 6, 80, 3
LABELS = np.array([0, 1, 56, 0, 41, 39])  # person, bicycle, chair, person, cup, bottle
_GENERATOR = np.random.default_rng(0)
CORNERS = _GENERATOR.uniform(0, 0.5, (DETECTIONS, 2))
BOXES = np.hstack([CORNERS, CORNERS + _GENERATOR.uniform(0.1, 0.5, (DETECTIONS, 2))]).astype(np.float32)
WEIGHT = _GENERATOR.normal(0, 3, (3, DETECTIONS)).astype(np.float32)


def _model(name, nodes, inputs, outputs, constants, opset):
    weights = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    values = [[helper.make_tensor_value_info(*each) for each in group] for group in (inputs, outputs)]
    graph = helper.make_graph(nodes, name, *values, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def detector(*, opset=17, image="images", batch="N", labels=LABELS, sizes_are_used=True, size=(HEIGHT, WIDTH), outputs=None):
    """Return a detector like DEIM's exports: its best detection is that with the largest product of mean colour and `WEIGHT`."""
    nodes = [
        helper.make_node("ReduceMean", [image], ["mean"], "/model/ReduceMean", axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["logits"], "/model/head/MatMul"),
        helper.make_node("Sigmoid", ["logits"], ["raw"], "/post/Sigmoid"),
        helper.make_node("TopK", ["raw", "count"], ["scores", "order"], "/post/TopK"),
        helper.make_node("Gather", ["all_labels", "order"], ["labels"], "/post/Gather"),
        helper.make_node("Gather", ["all_boxes", "order"], ["unit_boxes"], "/post/Gather_1"),
        helper.make_node("Tile", ["orig_target_sizes", "twice"], ["sides"], "/post/Tile"),
        helper.make_node("Cast", ["sides"], ["float_sides"], "/post/Cast", to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["axis"], "/post/Constant", value=numpy_helper.from_array(np.array([1]))),
        helper.make_node("Unsqueeze", ["float_sides", "axis"], ["scale"], "/post/Unsqueeze"),
        helper.make_node("Mul", ["unit_boxes", "scale" if sizes_are_used else "pixels"], ["boxes"], "/post/Mul"),
    ]
    constants = {
        "weight": WEIGHT,
        "count": np.array([DETECTIONS]),
        "all_labels": labels,
        "all_boxes": BOXES,
        "twice": np.array([1, 2]),
        "pixels": np.float32(640),
    }
    inputs = [(image, TensorProto.FLOAT, [batch, 3, *size]), ("orig_target_sizes", TensorProto.INT64, [batch, 2])]
    returned = {"labels": TensorProto.INT64, "boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT}
    names = [(name, returned[name], None) for name in outputs or returned]
    return _model("detector", nodes, inputs, names, constants, opset)


def head():
    """Return a head that pairs the best detection with the next `PAIRS`, and embeds each pair as the one-hot vector of its class."""
    nodes = [
        helper.make_node("Slice", ["boxes", "zero", "one", "one"], ["human"], "/Slice"),
        helper.make_node("Expand", ["human", "pairs"], ["humans"], "/Expand"),
        helper.make_node("Slice", ["boxes", "one", "end", "one"], ["objects"], "/Slice"),
        helper.make_node("Slice", ["labels", "one", "end", "one"], ["classes"], "/Slice"),
        helper.make_node("OneHot", ["classes", "depth", "values"], ["object_embeddings"], "/OneHot"),
        helper.make_node("Identity", ["object_embeddings"], ["interaction_embeddings"], "/Identity"),
        helper.make_node("ReduceSum", ["scores"], ["unused"], "/ReduceSum"),
    ]
    nodes += [
        helper.make_node("MatMul", [side, "to_cxcywh"], [name], "/MatMul")
        for side, name in (("humans", "human_boxes"), ("objects", "object_boxes"))
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "end": np.array([1 + PAIRS]),
        "pairs": np.array([1, PAIRS, 4]),
        "depth": np.array(CLASSES),
        "values": np.array([0, 1], np.float32),
        "to_cxcywh": np.array([[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]], np.float32),
    }
    # As in real heads, slices count along the second axis.
    for node in nodes:
        if node.op_type == "Slice":
            node.input[3] = "one"
    inputs = [
        ("labels", TensorProto.INT64, ["batch", "detections"]),
        ("boxes", TensorProto.FLOAT, ["batch", "detections", 4]),
        ("scores", TensorProto.FLOAT, ["batch", "detections"]),
    ]
    boxes, embeddings = ["batch", PAIRS, 4], ["batch", PAIRS, CLASSES]
    outputs = [
        ("human_boxes", TensorProto.FLOAT, boxes),
        ("object_boxes", TensorProto.FLOAT, boxes),
        ("object_embeddings", TensorProto.FLOAT, embeddings),
        ("interaction_embeddings", TensorProto.FLOAT, embeddings),
    ]
    return _model("head", nodes, inputs, outputs, constants, 20)


def write_head(folder: Path, **more: float) -> Path:
    """Write the folder of the head; its classifier scores every category of a pair's class with sigmoid(1) and others with sigmoid(-1).

    `more` gives the bias, which is -1 there, in the classifiers of other vocabularies by name.
    """
    folder.mkdir()
    onnx.save(head(), folder / "head.onnx")
    for name, bias in {"hico_det": -1.0, **more}.items():
        vocabulary = load_vocabulary(name)
        of_class = np.eye(len(vocabulary.objects) + 1, CLASSES, dtype=np.float32)
        classifier = Classifier(
            hoi_weight=of_class[vocabulary.object_ids] * 2,
            hoi_bias=np.full(len(vocabulary), bias, np.float32),
            hoi_scale=np.ones((), np.float32),
            object_weight=of_class,
            object_bias=np.full(len(of_class), -0.5, np.float32),
            object_scale=np.full((), 100, np.float32),
            verb_weight=np.zeros((0, CLASSES), np.float32),
            verb_to_hoi=np.zeros((0, len(vocabulary)), np.float32),
            verb_share=np.zeros((), np.float32),
        )
        path = folder / ("classifier.safetensors" if name == "hico_det" else f"{name}.safetensors")
        write_classifier(path, classifier, vocabulary, clip_sha256=sha256_of_file(folder / "head.onnx"))
    return folder


def write_detector(path: Path, **changes) -> Path:
    onnx.save(detector(**changes), path)
    return path
