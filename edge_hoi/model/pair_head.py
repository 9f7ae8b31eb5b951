"""The second stage of a two-stage HOI detector: a detector's objects in, embeddings of human-object pairs out.

It sees classes, boxes and scores, no pixels. B batch, D detections, P people, S = P people and then other objects (people are objects
too), Q = P·S pairs, W width of a detection's token, C object classes, E embedding size.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge_hoi.errors import CheckpointError, ConfigError
from edge_hoi.model.checkpoint_files import check_numbers, is_safetensors, read_safetensors
from edge_hoi.model.pair_geometry import NUM_BOX_FEATURES, NUM_RELATION_FEATURES, box_features, distance, overlap, relation_features
from edge_hoi.unfinished import writing_file
from edge_hoi.vocabulary import load_vocabulary

FORMAT_VERSION = "2"
VOCABULARIES = ("hico_det", "vcoco")
"""Whose categories it knows; its rows are those of the first, then those of the second."""
NUM_CLASSES = 80
PERSON = 0
"""COCO's classes, counted without gaps; HICO-DET's objects have the same order."""

_NUM_RANK_FEATURES = 10
_FAR = 9.0
"""A distance beyond every real one."""
_OTHER_CLASS_LOGIT = -40.0
"""Added to the logit of every category whose object is not the pair's: its score is 0 then."""


def rows_of(name: str) -> slice:
    """Return the rows of one of `VOCABULARIES` among a head's."""
    place = VOCABULARIES.index(name)
    first = sum(len(load_vocabulary(each)) for each in VOCABULARIES[:place])
    return slice(first, first + len(load_vocabulary(name)))


NUM_ROWS = rows_of(VOCABULARIES[-1]).stop

_OBJECT_SCALE = -2 * _OTHER_CLASS_LOGIT
_EPSILON = 1e-6
"""Detection scores are this far from 0 and 1, so that their logit is finite."""


@dataclass(frozen=True, slots=True)
class PairHeadConfig:
    """Configuration of a pair head.

    Attributes:
        people: Most people P of an image that count, those with the highest scores.
        objects: Most other objects of an image that count, likewise.
        least_score: Detections below this score are ignored, in [0, 1].
        width: Width W of a detection's token; a multiple of `heads`.
        heads: Attention heads.
        layers: Layers in which detections attend to the others of their image.
        hidden: Width of the layers that see a pair.
        pair_width: Size of the learned part of a pair's embedding.
        has_vcoco: Whether the rows of V-COCO's categories are trained.
    """

    people: int = 8
    objects: int = 16
    least_score: float = 0.08
    width: int = 96
    heads: int = 4
    layers: int = 1
    hidden: int = 256
    pair_width: int = 128
    has_vcoco: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in ("least_score", "has_vcoco") and (type(value) is not int or not 1 <= value <= 4096):
                raise ConfigError(f"{field.name} of a pair head must be a whole number in [1, 4096], got {value!r}")
        if not isinstance(self.least_score, float) or not 0 <= self.least_score <= 1:
            raise ConfigError(f"least_score of a pair head must be a number in [0, 1], got {self.least_score!r}")
        if self.width % self.heads:
            raise ConfigError(f"width of a pair head must be a multiple of heads ({self.heads}), got {self.width}")

    @property
    def embedding_size(self) -> int:
        """E: the learned part, then one number for each class."""
        return self.pair_width + NUM_CLASSES


class Scene(NamedTuple):
    """The detections of each image that count: P people, then other objects, each best first.

    Attributes:
        labels: `(B, S)` int64 class.
        boxes: `(B, S, 4)` xyxy in [0, 1].
        scores: `(B, S)`.
        is_present: `(B, S)` bool; False where an image has fewer.
        indices: `(B, S)` int64 place among the detector's results.
        is_pair: `(B, P, S)` bool: both are present, and are not the same detection.
    """

    labels: Tensor
    boxes: Tensor
    scores: Tensor
    is_present: Tensor
    indices: Tensor
    is_pair: Tensor


class PairHeadOutputs(NamedTuple):
    """The engine contract's outputs of Q pairs, person by person.

    Attributes:
        human_boxes: `(B, Q, 4)` cxcywh in [0, 1].
        object_boxes: `(B, Q, 4)` cxcywh in [0, 1].
        object_embeddings: `(B, Q, E)`: 0, then at the pair's class its `detection_scores` as the classifier reads them; all 0 where there
            is no pair.
        interaction_embeddings: `(B, Q, E)`: a vector of length 1, then the pair's class as a one-hot vector; all 0 where there is no pair.
    """

    human_boxes: Tensor
    object_boxes: Tensor
    object_embeddings: Tensor
    interaction_embeddings: Tensor


class PairHead(nn.Module):
    """Finds the pairs of an image's detections and embeds them.

    The sigmoid of an embedding's HOI logit by `classifier_arrays`, times that of its object logit, `detection_scores`, is the probability
    that the triplet is true, the detector's boxes and class included; for categories of other objects than the detected one it is 0.

    Args:
        config: Its sizes.
        dropout: Share of hidden units dropped in training.
    """

    def __init__(self, config: PairHeadConfig, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.class_embedding = nn.Embedding(NUM_CLASSES, config.width)
        self.detection = nn.Linear(NUM_BOX_FEATURES + 5, config.width)
        self.layers = nn.ModuleList(_SceneLayer(config, dropout) for _ in range(config.layers))
        self.human = nn.Linear(config.width, config.hidden)
        self.object = nn.Linear(config.width, config.hidden, bias=False)
        self.relation = nn.Linear(NUM_RELATION_FEATURES + _NUM_RANK_FEATURES, config.hidden, bias=False)
        self.pair = _PairNetwork(config, dropout)
        self.hoi_weight = nn.Parameter(torch.randn(NUM_ROWS, config.pair_width) / math.sqrt(config.pair_width))
        self.hoi_bias = nn.Parameter(torch.full((NUM_ROWS,), -4.0))

    def forward(self, labels: Tensor, boxes: Tensor, scores: Tensor) -> PairHeadOutputs:
        """Pair and embed detections.

        Args:
            labels: `(B, D)` int64 COCO classes, 0..79.
            boxes: `(B, D, 4)` float32 xyxy in [0, 1].
            scores: `(B, D)` float32 in [0, 1].

        Raises:
            ConfigError: D is less than the number of people or other objects that count.
        """
        scene = self.select(labels, boxes, scores)
        tokens, seen = self.describe(scene)
        people = self.config.people
        learned = self.embed(tokens[:, :people, None], tokens[:, None], seen) * scene.is_pair[..., None]  # (B, P, S, pair_width)
        classes = (scene.labels[..., None] == torch.arange(NUM_CLASSES, device=labels.device)).float()  # (B, S, C)
        one_hot = classes[:, None] * scene.is_pair[..., None]  # (B, P, S, C)
        boxes_cxcywh = torch.cat([(scene.boxes[..., :2] + scene.boxes[..., 2:]) / 2, scene.boxes[..., 2:] - scene.boxes[..., :2]], dim=-1)
        pairs = torch.zeros_like(one_hot[..., :4])
        detected = detection_scores(scene, people).logit(_EPSILON) / _OBJECT_SCALE + 0.5  # undone by the classifier
        return PairHeadOutputs(
            human_boxes=(boxes_cxcywh[:, :people, None] + pairs).flatten(1, 2),
            object_boxes=(boxes_cxcywh[:, None] + pairs).flatten(1, 2),
            object_embeddings=torch.cat([torch.zeros_like(learned), one_hot * detected[..., None]], dim=-1).flatten(1, 2),
            interaction_embeddings=torch.cat([learned, one_hot], dim=-1).flatten(1, 2),
        )

    def select(self, labels: Tensor, boxes: Tensor, scores: Tensor) -> Scene:
        """Select the people and objects with the highest scores, the earlier of two with equal scores first; see `forward`."""
        people, objects = self.config.people, self.config.objects
        count = labels.shape[1]
        if count < max(people, objects):
            raise ConfigError(f"the pair head expects at least {max(people, objects)} detections of an image, got {count}")
        order = 1e-6 * torch.arange(count, device=scores.device)  # runtimes differ in how they order equal values
        is_candidate, is_person = scores >= self.config.least_score, labels == PERSON
        best_people = (torch.where(is_candidate & is_person, scores, -1.0) - order).topk(people)
        best_others = (torch.where(is_candidate & ~is_person, scores, -1.0) - order).topk(objects)
        chosen = torch.cat([best_people.indices, best_others.indices], dim=1)  # (B, S)
        is_present = torch.cat([best_people.values, best_others.values], dim=1) > -0.5
        is_other = ~torch.eye(people, people + objects, dtype=torch.bool, device=scores.device)
        return Scene(
            labels=labels.gather(1, chosen),
            boxes=boxes.gather(1, chosen[..., None].expand(-1, -1, 4)).clamp(0, 1),
            scores=scores.gather(1, chosen),
            is_present=is_present,
            indices=chosen,
            is_pair=is_present[:, :people, None] & is_present[:, None] & is_other,
        )

    def describe(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Compute `(B, S, W)` tokens of a scene's detections, and `(B, P, S, R + 10)` features of where each pair's boxes are."""
        relations = relation_features(scene.boxes[:, :, None], scene.boxes[:, None])  # (B, S, S, R)
        tokens = self.class_embedding(scene.labels) + self.detection(torch.cat([box_features(scene.boxes), _score_features(scene)], dim=-1))
        for layer in self.layers:
            tokens = layer(tokens, relations, scene.is_present)  # (B, S, W)
        people = self.config.people
        return tokens, torch.cat([relations[:, :people], _rank_features(scene, people)], dim=-1)

    def embed(self, human_tokens: Tensor, object_tokens: Tensor, seen: Tensor) -> Tensor:
        """Embed pairs from what `describe` returned of them, as `(..., pair_width)` vectors of length 1."""
        embeddings: Tensor = self.pair(self.human(human_tokens) + self.object(object_tokens) + self.relation(seen))
        return embeddings

    def classifier_arrays(self, name: str = VOCABULARIES[0]) -> dict[str, NDArray[np.float32]]:
        """Return the classifier of one of `VOCABULARIES`, with the names of a classifier's fields. It has no verb part: a share of 0."""
        vocabulary, rows = load_vocabulary(name), rows_of(name)
        width, size = self.config.pair_width, self.config.embedding_size
        classes = np.eye(len(vocabulary.objects) + 1, NUM_CLASSES, dtype=np.float32)  # no class for "no object" and "nothing"
        arrays = {
            "hoi_weight": np.hstack([self.hoi_weight[rows].detach().float().numpy(), -_OTHER_CLASS_LOGIT * classes[vocabulary.object_ids]]),
            "hoi_bias": self.hoi_bias[rows].detach().float().numpy() + _OTHER_CLASS_LOGIT,
            "hoi_scale": np.ones(()),
            "object_weight": np.hstack([np.zeros((len(classes), width)), classes]),
            "object_bias": np.full(len(classes), -0.5),
            "object_scale": np.array(_OBJECT_SCALE),
            "verb_weight": np.zeros((len(vocabulary.verbs), size)),
            "verb_to_hoi": vocabulary.verb_to_hoi,
            "verb_share": np.zeros(()),
        }
        return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def detection_scores(scene: Scene, people: int) -> Tensor:
    """Return `(B, P, S)` how sure the detector is of both: the geometric mean of a person's and an object's score, in [0, 1].

    The network sees both scores too, but has learned from a simulated detector, which is less sure of wrong objects than a real one.
    """
    return (scene.scores[:, :people, None] * scene.scores[:, None]).clamp(0, 1).sqrt()


def save_pair_head(head: PairHead, path: Path, *, seed: int) -> None:
    """Write a head as safetensors in half precision, with the seed of its training.

    Raises:
        OSError: The file cannot be written.
    """
    metadata = {
        "pair_head_format": FORMAT_VERSION,
        "vocabularies": _vocabulary_hashes(),
        "config": json.dumps(dataclasses.asdict(head.config)),
        "seed": str(seed),
    }
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in head.state_dict().items()}
    with writing_file(path) as unfinished:
        safetensors.torch.save_file(tensors, unfinished, metadata)


def load_pair_head(path: Path) -> PairHead:
    """Read a head, in single precision and in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged, of another format or vocabulary, or its tensors do not fit its configuration.
    """
    if not is_safetensors(path):
        raise CheckpointError(f"{path} is not a pair head: expected a safetensors file, as `edge-hoi train pairs` writes")
    metadata, tensors = read_safetensors(path)
    expected = {"pair_head_format": FORMAT_VERSION, "vocabularies": _vocabulary_hashes()}
    for key, value in expected.items():
        if metadata.get(key) != value:
            raise CheckpointError(
                f"{path} is not a pair head of this edge-hoi: {key} is {metadata.get(key)!r}, expected {value!r}; "
                "train it with `edge-hoi train pairs`"
            )
    try:
        head = PairHead(PairHeadConfig(**json.loads(metadata["config"])))
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the configuration of the pair head is invalid ({error}); train it again") from error
    shapes = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
        raise CheckpointError(f"{path}: its tensors do not fit its configuration; train the head again")
    for name, tensor in tensors.items():
        check_numbers(name, tensor, str(path))
    head.load_state_dict(tensors)
    return head.eval()


def _vocabulary_hashes() -> str:
    return json.dumps({name: load_vocabulary(name).content_hash for name in VOCABULARIES})


class _SceneLayer(nn.Module):
    """Every detection attends to the objects of its image; where they are relative to it is part of their keys and values."""

    def __init__(self, config: PairHeadConfig, dropout: float) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.where_key = nn.Linear(NUM_RELATION_FEATURES, config.heads)
        self.where_value = nn.Linear(config.heads * NUM_RELATION_FEATURES, width, bias=False)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor, relations: Tensor, is_present: Tensor) -> Tensor:
        """Update `(B, S, W)` tokens by their `(B, S, S, R)` relations to those that are present."""
        normed = self.norm(tokens)
        query, key, value = (part(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value))
        logits = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]) + self.where_key(relations).permute(0, 3, 1, 2)
        weights = logits.masked_fill(~is_present[:, None, None], -1e4).softmax(dim=-1)  # (B, heads, S, S)
        what = (weights @ value).transpose(1, 2).flatten(2)  # (B, S, W)
        where = (weights.transpose(1, 2) @ relations).flatten(2)  # (B, S, heads * R): mean relations by each head's weights
        tokens = tokens + self.output(what) + self.where_value(where)
        updated: Tensor = tokens + self.feed_forward(tokens)
        return updated


class _PairNetwork(nn.Module):
    """Turns a pair's input into a vector of length 1."""

    def __init__(self, config: PairHeadConfig, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.LayerNorm(config.hidden), nn.GELU(), nn.Dropout(dropout))
        self.second = nn.Sequential(nn.Linear(config.hidden, config.hidden), nn.GELU(), nn.Dropout(dropout))
        self.last = nn.Linear(config.hidden, config.pair_width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Embed `(..., hidden)` inputs as `(..., pair_width)` vectors of length 1."""
        hidden = self.first(inputs)
        return functional.normalize(self.last(hidden + self.second(hidden)), dim=-1)


def _score_features(scene: Scene) -> Tensor:
    """Describe how sure each detection is: its score, and how far better ones of the same or of another class cover it; `(B, S, 5)`."""
    scores = scene.scores.clamp(1e-3, 1 - 1e-3)
    covered = overlap(scene.boxes[:, :, None], scene.boxes[:, None])  # (B, S, S)
    covered = covered * (scene.is_present[:, None] & (scene.scores[:, None] > scene.scores[:, :, None]))
    is_same = scene.labels[:, :, None] == scene.labels[:, None]
    other = covered * ~is_same
    features = [scores, scores.logit() / 4, (covered * is_same).amax(dim=2), other.amax(dim=2), (other * scene.scores[:, None]).amax(dim=2)]
    return torch.stack(features, dim=-1)


def _rank_features(scene: Scene, people: int) -> Tensor:
    """Describe which person is nearest to an object and which object of its class to a person; `(B, P, S, 10)`."""
    distances = distance(scene.boxes[:, :people, None], scene.boxes[:, None])  # (B, P, S)
    to_pairs = torch.where(scene.is_pair, distances, _FAR)
    is_same = scene.labels[:, :, None] == scene.labels[:, None]  # (B, S, S)
    to_same = torch.where(is_same[:, None], to_pairs[:, :, None], _FAR)  # (B, P, S, S)
    nearer_people = (to_pairs[:, None] < distances[:, :, None]).float().sum(dim=2)  # (B, P, S)
    nearer_objects = (to_same < distances[..., None]).float().sum(dim=3)
    features = [
        distances,
        nearer_people / 4,
        (nearer_people == 0).float(),
        distances - to_pairs.amin(dim=1, keepdim=True).clamp(max=2),
        nearer_objects / 4,
        (nearer_objects == 0).float(),
        distances - to_same.amin(dim=3).clamp(max=2),
        scene.is_pair.float().sum(dim=1, keepdim=True).expand_as(distances) / 4,
        (to_same < _FAR).float().sum(dim=3) / 4,
        scene.scores[:, :people, None] * scene.scores[:, None],
    ]
    return torch.stack(features, dim=-1)
