"""What a small object detector makes of a scene: moved and missed boxes, boxes twice, wrong classes, objects that are not there, scores.

Modelled after DEIMv2 femto (COCO AP 31) on photographs. B images, D annotated objects, M detections.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

import torch
import yaml
from torch import Tensor

from edge_hoi.lab.training.pairs.scenes import Scenes
from edge_hoi.model.pair_geometry import overlap, overlap_area
from edge_hoi.model.pair_head import NUM_CLASSES, PERSON
from edge_hoi.vocabulary import Vocabulary

_LEAST_IOU = 0.5
_NONE = -1


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """Rates of a simulated detector. Shares and probabilities are in [0, 1].

    Attributes:
        clean_share: Share of images with exactly the annotated boxes, all with a score of 1.
        idle_share: Share of the other images without any of the annotated objects, only people: without them an interaction would be in
            every image, and the likeliest would count as true.
        clutter_share: Share of the other images with objects of another image pasted in, which nobody interacts with.
        clutter_kept: Share of that image's objects that are pasted.
        flip_share: Share of images mirrored.
        zoom_share: Share of images shrunk into a larger one or cut.
        least_zoom: Smallest factor of that, along each axis.
        doubled: Probability of each of two more boxes of a detection.
        confused: Probability of a detection of a wrong class at an object.
        swapped: Probability that the wrong class has the higher score.
        phantoms: Most detections where there is nothing.
        phantom_level: Mean of their scores' logits.
        phantom_spread: Standard deviation of it.
        in_vain: How much more often than others classes are seen in use that a detector often sees at people in vain.
        phantom_rate: Mean share of them that occur. They are doubled and have wrong classes as well: a real detector's mistakes come in
            numbers, as its right detections do.
    """

    clean_share: float = 0.35
    idle_share: float = 0.5
    clutter_share: float = 0.6
    clutter_kept: float = 0.6
    zoom_share: float = 0.5
    flip_share: float = 0.5
    least_zoom: float = 0.3
    doubled: float = 0.55
    confused: float = 0.5
    swapped: float = 0.12
    phantoms: int = 24
    phantom_level: float = -1.35
    phantom_spread: float = 0.6
    in_vain: float = 2.0
    phantom_rate: float = 0.3


class Detections(NamedTuple):
    """A detector's results.

    Attributes:
        labels: `(B, M)` int64.
        boxes: `(B, M, 4)` xyxy in [0, 1].
        scores: `(B, M)`, 0 where there is no detection.
        sources: `(B, M)` int64 the annotated object that it is the best detection of; -1 for every other.
    """

    labels: Tensor
    boxes: Tensor
    scores: Tensor
    sources: Tensor


def exact_detections(scenes: Scenes) -> Detections:
    """Return the annotated objects themselves, with a score of 1."""
    is_present = scenes.labels >= 0
    sources = torch.where(is_present, torch.arange(scenes.labels.shape[1]), _NONE)
    return Detections(scenes.labels.clamp(min=0), scenes.boxes, is_present.float(), sources)


class SimulatedDetector:
    """Detects the objects of scenes at random, reproducibly.

    Args:
        vocabulary: Names of the classes.
        config: Its rates.
        seed: Seed of its random numbers.
    """

    def __init__(self, vocabulary: Vocabulary, config: SimulationConfig | None = None, *, seed: int) -> None:
        self.config = config or SimulationConfig()
        self._random = torch.Generator().manual_seed(seed)
        self._classes = _classes(vocabulary.objects)

    def detect(self, scenes: Scenes) -> Detections:
        """Detect the objects of a batch of images."""
        exact = exact_detections(scenes)
        exact = exact._replace(boxes=self._flip(exact.boxes))
        seen = self._leave_idle(self._zoom(self._add_clutter(exact)))
        primary, wrong = self._primary(seen)
        phantoms = self._phantoms(seen, scenes)
        single = _join(primary, phantoms)
        found = _join(single, wrong, self._mistaken(phantoms), *(self._doubled(single) for _ in range(2)))
        is_clean = self._chance((len(scenes), 1), self.config.clean_share)
        return Detections(*(torch.where(is_clean.view(-1, *[1] * (a.dim() - 1)), _pad(b, a), a) for a, b in zip(found, exact, strict=True)))

    def _uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self._random)

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._random)

    def _chance(self, shape: tuple[int, ...], probability: float) -> Tensor:
        return torch.rand(shape, generator=self._random) < probability

    def _flip(self, boxes: Tensor) -> Tensor:
        """Mirror some images."""
        mirrored = torch.stack([1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], dim=-1)
        return torch.where(self._chance((len(boxes), 1, 1), self.config.flip_share), mirrored, boxes)

    def _add_clutter(self, exact: Detections) -> Detections:
        """Paste objects of another image, mostly where they do not touch what is there."""
        batch, count = exact.labels.shape
        other = torch.randperm(batch, generator=self._random)
        scale = self._uniform((batch, 1, 1), 0.3, 1.0)
        shift = self._uniform((batch, 1, 2)) * (1 - scale)
        boxes = exact.boxes[other] * scale + torch.cat([shift, shift], dim=-1)
        size = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)[:, :, None].clamp(min=1e-6)
        touched = (overlap_area(boxes[:, :, None], exact.boxes[:, None]) / size).amax(dim=2)  # (B, D)
        kept = self._chance((batch, 1), self.config.clutter_share) & self._chance((batch, count), self.config.clutter_kept)
        kept &= (touched < 0.3) | self._chance((batch, count), 0.3)
        scores = torch.where(kept, exact.scores[other], 0.0)
        return _join(exact, Detections(exact.labels[other], boxes, scores, torch.full_like(exact.sources, _NONE)))

    def _leave_idle(self, seen: Detections) -> Detections:
        """Remove the annotated objects of some images, and keep their people."""
        is_idle = self._chance((len(seen.labels), 1), self.config.idle_share)
        is_removed = is_idle & (seen.sources >= 0) & (seen.labels != PERSON)
        return seen._replace(scores=torch.where(is_removed, 0.0, seen.scores))

    def _zoom(self, seen: Detections) -> Detections:
        """Shrink images into larger ones, or cut them, by different factors along each axis."""
        batch = len(seen.labels)
        least = torch.tensor(self.config.least_zoom).log().item()
        scale = self._uniform((batch, 1, 1), least, 0.15).exp()
        aspect = (0.15 * self._normal((batch, 1, 1))).exp()
        scales = torch.cat([scale * aspect, scale / aspect], dim=-1).clamp(max=1.25)
        scales = torch.where(self._chance((batch, 1, 1), self.config.zoom_share), scales, 1.0)
        shift = self._uniform((batch, 1, 2)) * (1 - scales)
        boxes = seen.boxes * torch.cat([scales, scales], dim=-1) + torch.cat([shift, shift], dim=-1)
        boxes = boxes.clamp(0, 1)
        is_visible = (boxes[..., 2:] - boxes[..., :2]).amin(dim=-1) > 0.004
        return seen._replace(boxes=boxes, scores=seen.scores * is_visible)

    def _primary(self, seen: Detections) -> tuple[Detections, Detections]:
        """Detect each object once, or miss it; and detect wrong classes at objects, found or missed."""
        shape = seen.labels.shape
        is_there, is_person = seen.scores > 0, seen.labels == PERSON
        size = (seen.boxes[..., 2:] - seen.boxes[..., :2]).clamp(min=1e-3).log().mean(dim=-1)
        ease = self._classes.ease[seen.labels]
        found_logit = torch.where(is_person, 4.7 + size, 3.4 + 1.1 * size + ease)
        level = torch.where(is_person, 1.3 + 0.35 * size, 1.0 + 0.6 * size + ease)
        spread = torch.where(is_person, 0.7, 0.9)
        scores = (level + spread * self._normal(shape)).sigmoid()
        is_found = is_there & (self._uniform(shape) < found_logit.sigmoid())
        boxes = self._jitter(seen.boxes, 0.02 + 0.1 * (1 - scores))
        is_match = overlap(boxes, seen.boxes) >= _LEAST_IOU
        swapped = is_found & ~is_person & self._chance(shape, self.config.swapped)
        wrong_scores = torch.where(swapped, scores, scores * self._uniform(shape, 0.15, 0.8))
        is_wrong = is_there & (self._chance(shape, self.config.confused) & ~is_person | swapped)
        wrong = Detections(
            self._confuse(seen.labels),
            self._jitter(seen.boxes, torch.full(shape, 0.08)),
            torch.where(is_wrong, wrong_scores, 0.0),
            torch.full(shape, _NONE),
        )
        scores = torch.where(swapped, scores * self._uniform(shape, 0.3, 0.95), scores)
        primary = Detections(seen.labels, boxes, torch.where(is_found, scores, 0.0), torch.where(is_match, seen.sources, _NONE))
        return primary, wrong

    def _mistaken(self, phantoms: Detections) -> Detections:
        """Detect another class at phantoms too."""
        shape = phantoms.labels.shape
        scores = phantoms.scores * self._uniform(shape, 0.15, 1.0) * self._chance(shape, self.config.confused)
        return Detections(self._confuse(phantoms.labels), self._jitter(phantoms.boxes, torch.full(shape, 0.08)), scores, phantoms.sources)

    def _doubled(self, primary: Detections) -> Detections:
        """Detect what was found again, with a lower score and a worse box."""
        shape = primary.labels.shape
        scores = primary.scores * self._uniform(shape, 0.2, 0.75) * self._chance(shape, self.config.doubled)
        boxes = self._jitter(primary.boxes, self._uniform(shape, 0.05, 0.3))
        return Detections(primary.labels, boxes, scores, torch.full(shape, _NONE))

    def _phantoms(self, seen: Detections, scenes: Scenes) -> Detections:
        """Detect what is not there: where a person would use it, elsewhere at a person, and elsewhere in the image."""
        batch, count = len(seen.labels), self.config.phantoms
        shape = (batch, count)
        is_there = seen.scores > 0
        people = torch.where(is_there & (seen.labels == PERSON), 1.0, 1e-4)
        person = torch.multinomial(people, count, replacement=True, generator=self._random)  # (B, K)
        body = seen.boxes.gather(1, person[..., None].expand(-1, -1, 4))
        used_labels, used_boxes = self._used_objects(scenes, body)
        side = (body[..., 2:] - body[..., :2]).clamp(min=0.02)
        kind = self._uniform(shape)
        is_used, is_elsewhere = kind < 0.45, kind > 0.75
        centre = torch.where(
            is_elsewhere[..., None], self._uniform((*shape, 2)), body[..., :2] + side * self._uniform((*shape, 2), -0.1, 1.1)
        )
        extent = torch.where(
            is_elsewhere[..., None], self._uniform((*shape, 2), -3.5, -0.7).exp(), side * self._uniform((*shape, 2), -3.0, -0.7).exp()
        )
        boxes = torch.cat([centre - extent / 2, centre + extent / 2], dim=-1)
        present = torch.multinomial(is_there.float() + 1e-4, count, replacement=True, generator=self._random)
        labels = torch.where(is_elsewhere, self._draw(self._classes.elsewhere, shape), self._draw(self._classes.on_people, shape))
        labels = torch.where(self._chance(shape, 0.35), seen.labels.gather(1, present), labels)
        rate = (self.config.phantom_rate * self._uniform((batch, 1), 0, 2)).clamp(max=1)
        scores = (self.config.phantom_level + self.config.phantom_spread * self._normal(shape)).sigmoid() * (self._uniform(shape) < rate)
        return Detections(
            torch.where(is_used, used_labels, labels),
            torch.where(is_used[..., None], used_boxes, boxes).clamp(0, 1),
            scores,
            torch.full(shape, _NONE),
        )

    def _used_objects(self, scenes: Scenes, bodies: Tensor) -> tuple[Tensor, Tensor]:
        """Take objects that people of any image use and move each to one of `(B, K, 4)` bodies.

        Rare classes are drawn more often than they occur, and so are those that a detector often sees at people in vain.
        """
        is_used = scenes.targets.any(dim=-1) & (scenes.labels[:, None] != PERSON)
        image, person, thing = is_used.nonzero(as_tuple=True)
        if not len(image):
            return torch.full(bodies.shape[:2], PERSON), bodies
        labels = scenes.labels[image, thing]
        weights = torch.where(self._classes.is_in_vain[labels], self.config.in_vain, 1.0) / torch.bincount(labels)[labels].sqrt()
        rows = torch.multinomial(weights, bodies.shape[0] * bodies.shape[1], replacement=True, generator=self._random)
        user, used = scenes.boxes[image, person][rows].view_as(bodies), scenes.boxes[image, thing][rows].view_as(bodies)
        low, size = user[..., :2].repeat(1, 1, 2), (user[..., 2:] - user[..., :2]).clamp(min=0.02).repeat(1, 1, 2)
        moved = (used - low) / size * (bodies[..., 2:] - bodies[..., :2]).repeat(1, 1, 2) + bodies[..., :2].repeat(1, 1, 2)
        return labels[rows].view(bodies.shape[:2]), moved

    def _jitter(self, boxes: Tensor, spread: Tensor) -> Tensor:
        """Move each edge by a normally distributed share of the box's side."""
        side = (boxes[..., 2:] - boxes[..., :2]).repeat(1, 1, 2)
        moved = boxes + side * spread[..., None] * self._normal(tuple(boxes.shape))
        low, high = torch.minimum(moved[..., :2], moved[..., 2:]), torch.maximum(moved[..., :2], moved[..., 2:])
        return torch.cat([low, high], dim=-1).clamp(0, 1)

    def _confuse(self, labels: Tensor) -> Tensor:
        chances = self._classes.confusion[labels]
        return torch.multinomial(chances.flatten(0, 1), 1, generator=self._random).view(labels.shape)

    def _draw(self, choices: Tensor, shape: tuple[int, ...]) -> Tensor:
        return choices[torch.randint(len(choices), shape, generator=self._random)]


class _Classes(NamedTuple):
    """Tables by class: `(C, C)` chances of confusion, `(C,)` ease as a logit, `(C,)` which are seen in vain, two lists of classes."""

    confusion: Tensor
    ease: Tensor
    is_in_vain: Tensor
    on_people: Tensor
    elsewhere: Tensor


@cache
def _classes(names: tuple[str, ...]) -> _Classes:
    text = (resources.files("edge_hoi.lab.training.pairs") / "data" / "classes.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    confusion = torch.full((NUM_CLASSES, NUM_CLASSES), 0.25 / NUM_CLASSES)
    for group in data["groups"]:
        rows = torch.tensor([names.index(name) for name in group])
        confusion[rows[:, None], rows] += 0.75 / len(group)
    confusion[:, PERSON] = 0.01
    confusion.fill_diagonal_(0)
    ease = torch.zeros(NUM_CLASSES)
    for key, shift in (("hard", -0.5), ("easy", 0.6)):
        ease[[names.index(name) for name in data[key]]] = shift
    is_in_vain = torch.tensor([name in data["in_vain"] for name in names[:NUM_CLASSES]])
    on_people, elsewhere = (torch.tensor([names.index(name) for name in data[key]]) for key in ("on_people", "elsewhere"))
    return _Classes(confusion, ease, is_in_vain, on_people, elsewhere)


def _join(*parts: Detections) -> Detections:
    return Detections(*(torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True)))


def _pad(tensor: Tensor, like: Tensor) -> Tensor:
    """Extend a tensor by zeros along its second axis."""
    padded = torch.zeros_like(like)
    padded[:, : tensor.shape[1]] = tensor
    return padded
