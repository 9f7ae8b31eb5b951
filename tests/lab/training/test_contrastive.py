"""Contrastive training: its loss against a plain recomputation, and training of a small CLIP."""

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from captioned_shapes import VOCABULARY, draw_shapes

from edge_hoi.errors import TrainingError, VocabularyError
from edge_hoi.lab.datasets.augment import clip_square
from edge_hoi.lab.datasets.captions import read_captioned_images, read_squares
from edge_hoi.lab.datasets.images import open_image
from edge_hoi.lab.datasets.training_set import evaluation_inputs
from edge_hoi.lab.training.caption_batches import CaptionBatches, jitter_colours, normalise_for_clip
from edge_hoi.lab.training.config import ContrastiveConfig
from edge_hoi.lab.training.contrastive import MAX_SCALE, Embeddings, contrastive_loss, zero_unused_embeddings
from edge_hoi.lab.training.contrastive_trainer import ContrastiveTrainer
from edge_hoi.lab.training.initialization import untrained_checkpoint
from edge_hoi.lab.training.ranking import rank_prompts, ranks_of
from edge_hoi.model import VARIANTS, build_clip, load_checkpoint
from edge_hoi.vocabulary.custom import parse_custom

SHAPES = parse_custom(VOCABULARY.encode(), file="shapes.yaml", name="shapes")


class InterruptionError(Exception):
    pass


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_captioned_images(draw_shapes(tmp_path_factory.mktemp("shapes")))


@pytest.fixture(scope="module")
def squares(images):
    return read_squares(images, 64)


def settings(**changes):
    defaults = {"epochs": 2, "batch_size": 12, "warmup_steps": 2, "log_every_steps": 1, "save_every_steps": 1}
    return ContrastiveConfig(**defaults | changes)


def trainer_of(images, squares, folder, config, **options):
    checkpoint = untrained_checkpoint(VARIANTS["tiny"], SHAPES)
    batches = CaptionBatches(images, squares, checkpoint.text, flips=config.flips, jitter=config.jitter)
    return ContrastiveTrainer(checkpoint, SHAPES, batches, config, folder, **options)


def unit(*angles):
    return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles], requires_grad=True)


def test_the_loss_is_that_of_a_plain_recomputation():
    image, text, scale, meanings = unit(0.0, 1.0, 2.0), unit(0.3, 0.8, 2.5), 3.0, [7, 4, 7]
    cosines = [[math.cos(i - t) for t in (0.3, 0.8, 2.5)] for i in (0.0, 1.0, 2.0)]
    total = 0.0
    for rows in (cosines, list(zip(*cosines, strict=True))):
        for own, row in enumerate(rows):
            log_sum = math.log(sum(math.exp(scale * cosine) for cosine in row))
            positives = [other for other in range(3) if meanings[other] == meanings[own]]
            total -= sum(scale * row[other] - log_sum for other in positives) / len(positives) / 3
    loss = contrastive_loss(Embeddings(image, text, torch.tensor(scale)), torch.tensor(meanings)).detach()
    assert float(loss) == pytest.approx(total / 2, rel=1e-5)


def test_the_loss_is_symmetric_in_images_and_texts():
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=-1) for _ in range(2))
    meanings, scale = torch.tensor([0, 1, 0, 2, 1, 0]), torch.tensor(10.0)
    one, other = (contrastive_loss(Embeddings(*pair, scale), meanings) for pair in ((image, text), (text, image)))
    torch.testing.assert_close(one, other)


def test_equal_meanings_do_not_repel_and_different_ones_do():
    def push(meanings):
        image, text = unit(0.5, 0.5), unit(0.7, 0.7)
        contrastive_loss(Embeddings(image, text, torch.tensor(10.0)), torch.tensor(meanings)).backward()
        return image.grad.abs().max() + text.grad.abs().max()

    assert push([3, 3]) < 1e-6
    image, text = unit(0.5, 0.5), unit(0.6, 0.8)
    contrastive_loss(Embeddings(image, text, torch.tensor(10.0)), torch.tensor([3, 4])).backward()
    # A step against the gradient moves each image to its own caption, away from the other's.
    turn = -(image.grad * torch.tensor([[-math.sin(0.5), math.cos(0.5)]])).sum(dim=1)
    assert turn[0] < 0 < turn[1]


def test_ranks_count_ties_against_the_correct_one():
    scores = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.2, 0.2], [0.1, 0.5, 0.9]])
    assert ranks_of(scores, torch.tensor([0, 1, 0])).tolist() == [1, 3, 3]


def test_images_are_prepared_as_for_the_whole_network(images, squares):
    expected = evaluation_inputs(open_image(images[0].path), clip_size=64)
    assert np.array_equal(squares[0], np.asarray(clip_square(open_image(images[0].path), 64)))
    image = normalise_for_clip(torch.from_numpy(squares[:1]))[0]
    # The network's own input is cropped from an image that was resized before.
    assert image.shape == expected[1].shape
    assert float((image - expected[1]).abs().mean()) < 0.05


def test_zero_jitter_changes_nothing_and_each_image_has_its_own(squares):
    pixels = torch.from_numpy(squares[:4]).float()
    torch.testing.assert_close(jitter_colours(pixels, 0.0, np.random.default_rng(0)), pixels)
    changed = jitter_colours(pixels[:1].expand(4, -1, -1, -1), 0.4, np.random.default_rng(0))
    assert len({round(float(image.mean()), 3) for image in changed}) == 4
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_jitter_is_pillows_up_to_rounding(squares):
    from PIL import Image, ImageEnhance

    rng = np.random.default_rng(5)
    brightness, contrast, saturation = np.random.default_rng(5).uniform(0.8, 1.2, (3, 1, 1, 1)).astype(np.float32).ravel()
    image = Image.fromarray(squares[3])
    for enhancer, factor in ((ImageEnhance.Brightness, brightness), (ImageEnhance.Contrast, contrast), (ImageEnhance.Color, saturation)):
        image = enhancer(image).enhance(float(factor))
    found = jitter_colours(torch.from_numpy(squares[3:4]).float(), 0.2, rng)[0]
    assert float((found - torch.from_numpy(np.asarray(image).astype(np.float32))).abs().max()) < 3


@pytest.mark.slow
def test_a_tiny_clip_learns_shapes_and_colours(tmp_path):
    shown, held_out = (read_captioned_images(draw_shapes(tmp_path / str(seed), each=each, seed=seed)) for seed, each in ((1, 16), (2, 3)))
    config = settings(epochs=12, batch_size=24, learning_rate=4e-3, jitter=0.1, warmup_steps=10, log_every_steps=20, save_every_steps=1000)
    trainer = trainer_of(shown, read_squares(shown, 64), tmp_path, config)
    others = read_squares(held_out, 64)
    before = rank_prompts(trainer._checkpoint, held_out, others)
    checkpoint = trainer.run()
    after = rank_prompts(checkpoint, held_out, others)
    assert before["prompts"] == after["prompts"] == 12
    assert before["top1"] < 40
    assert after["top1"] > 90
    assert after["top5"] >= after["top1"]
    assert 1 <= after["mean_rank"] < 1.5
    assert float(checkpoint.text.clip.logit_scale.exp()) <= MAX_SCALE * 1.0001


def test_training_changes_both_towers_and_the_classifier_and_nothing_else(tmp_path, images, squares):
    before = untrained_checkpoint(VARIANTS["tiny"], SHAPES).tensors()
    checkpoint = trainer_of(images, squares, tmp_path, settings()).run()
    after = checkpoint.tensors()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    towers = {name for name in before if name.startswith(("model.clip.", "text."))}
    assert changed == towers | {"classifier.hoi_weight", "classifier.object_weight", "classifier.verb_weight"}
    assert not any(parameter.requires_grad for tower in (checkpoint.model.clip, checkpoint.text) for parameter in tower.parameters())
    written = load_checkpoint(tmp_path / "model.safetensors")
    assert written.vocabulary == "shapes"
    assert all(torch.equal(tensor, after[name]) for name, tensor in written.tensors().items())


@pytest.mark.parametrize("changes", [{}, {"patch_dropout": 0.5, "save_every_steps": 3}], ids=["plain", "patch dropout"])
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, images, squares, changes):
    def interrupt(step, _):
        if step == 4:
            raise InterruptionError

    config = settings(**changes)
    whole = trainer_of(images, squares, tmp_path / "whole", config).run().tensors()
    with pytest.raises(InterruptionError):
        trainer_of(images, squares, tmp_path / "parts", config, report=interrupt).run()
    parts = trainer_of(images, squares, tmp_path / "parts", config, resumes=True).run().tensors()
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))


def test_patches_are_dropped_at_first_and_all_used_at_the_end(tmp_path, images, squares):
    trainer = trainer_of(images, squares, tmp_path, settings(patch_dropout=0.5, patch_dropout_until=0.5))
    seen = []
    first_block = trainer._network.image.visual.transformer.resblocks[0]
    first_block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    trainer.run()
    assert seen == [1 + 8] * 4 + [1 + 16] * 4


def test_half_precision_learns_alike(tmp_path, images, squares):
    losses = {"fp32": [], "bf16": []}
    for precision, seen in losses.items():
        report = lambda _, metrics, seen=seen: seen.append(metrics["loss"])  # noqa: E731
        trainer_of(images, squares, tmp_path / precision, settings(precision=precision), report=report).run()
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.03)
    assert losses["bf16"] != losses["fp32"]


def test_the_best_is_kept(tmp_path, images, squares):
    metrics, scales = iter([50.0, 40.0]), []

    def evaluate(checkpoint):
        scales.append(checkpoint.text.clip.logit_scale.detach().clone())
        return {"top1": next(metrics)}

    trainer_of(images, squares, tmp_path, settings(), evaluate=evaluate).run()
    assert torch.equal(load_checkpoint(tmp_path / "best.safetensors").text.clip.logit_scale, scales[0])
    assert torch.equal(load_checkpoint(tmp_path / "model.safetensors").text.clip.logit_scale, scales[1])


def test_resuming_a_changed_run_is_refused(tmp_path, images, squares):
    trainer_of(images, squares, tmp_path, settings(epochs=1)).run()
    with pytest.raises(TrainingError, match=r"is of a run with learning_rate 0.001, this is one with 0.01"):
        trainer_of(images, squares, tmp_path, settings(epochs=1, learning_rate=0.01), resumes=True)


def test_non_finite_gradients_are_reported(tmp_path, images, squares):
    trainer = trainer_of(images, squares, tmp_path, settings())
    with torch.no_grad():
        trainer._network.log_scale.fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite at step 0"):
        trainer.run()


def test_a_caption_that_the_text_tower_cannot_read_is_named(images, squares):
    checkpoint = untrained_checkpoint(VARIANTS["small"], SHAPES)
    long = [images[0]._replace(captions=("word " * 40,))]
    with pytest.raises(VocabularyError, match="more than the 32 tokens that CLIP reads"):
        CaptionBatches(long, squares[:1], checkpoint.text, flips=False, jitter=0.0)


def test_unused_embeddings_are_zeroed_and_the_others_kept():
    text = build_clip(VARIANTS["tiny"].clip).text
    before = text.clip.token_embedding.weight.clone()
    zero_unused_embeddings(text, torch.tensor([[3, 5], [5, 7]]))
    after = text.clip.token_embedding.weight
    assert torch.equal(after[[3, 5, 7]], before[[3, 5, 7]])
    assert not after[[0, 1, 4, 6, 49407]].any()
