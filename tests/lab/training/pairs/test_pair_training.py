import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from invented_scenes import NOTHING, RIDE, VOCABULARY, annotate, riders

from edge_hoi.errors import TrainingError
from edge_hoi.lab.training.pairs.calibration import calibrate, calibration_error, reliability
from edge_hoi.lab.training.pairs.pair_loss import TrainablePairHead, pair_loss, score_batch
from edge_hoi.lab.training.pairs.pair_precision import TripletScores, average_precisions, log_loss, mean_precisions, score_pairs
from edge_hoi.lab.training.pairs.scenes import join_scenes, pair_frequencies, scenes_from_annotations
from edge_hoi.lab.training.pairs.simulated_detector import exact_detections
from edge_hoi.lab.training.pairs.trainer import HEAD_FILE, PairTrainer, PairTrainingConfig
from edge_hoi.model.pair_head import NUM_ROWS, PairHead, PairHeadConfig, load_pair_head, rows_of
from edge_hoi.vocabulary import load_vocabulary

SMALL = PairHeadConfig(people=3, objects=6, width=16, heads=2, layers=1, hidden=32, pair_width=16)
SHORT = PairTrainingConfig(
    epochs=10, batch_size=16, held_out=40, warmup_steps=5, learning_rate=1e-2, ema_decay=0.9, share_kept=0.5, dropout=0
)


@pytest.fixture(scope="module")
def scenes():
    return scenes_from_annotations(riders(200), VOCABULARY)


def new_network(scenes, seed=0):
    torch.manual_seed(seed)
    return TrainablePairHead(PairHead(SMALL), pair_frequencies(scenes)).eval()


def test_training_learns_who_rides_and_saves_the_same_head_for_the_same_seed(scenes, tmp_path):
    for name in ("first", "second"):
        reported = []
        trainer = PairTrainer(
            scenes, SHORT, tmp_path / name, head_config=SMALL, report=lambda step, total, metrics, seen=reported: seen.append((step, total))
        )
        assert [len(part) for part in trainer.held_out] == [20]
        assert len(trainer.scenes) == 160
        trainer.run()
        assert reported[-1] == (100, 100)
    saved, again = (load_pair_head(tmp_path / name / HEAD_FILE) for name in ("first", "second"))
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in saved.state_dict().items())
    assert saved.config == dataclasses.replace(SMALL, has_vcoco=False)
    (held_out,) = trainer.held_out
    scores = score_pairs(saved, exact_detections(held_out), held_out)
    values = average_precisions(scores, VOCABULARY)
    assert values[RIDE] == values[NOTHING] == 1
    rides = scores.hoi_ids == RIDE
    assert scores.scores[rides & scores.is_true].min() > scores.scores[rides & ~scores.is_true].max() + 0.3
    rows = [json.loads(line) for line in (tmp_path / "first" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["evaluation/hico_det exact/full"] == 100


VCOCO = load_vocabulary("vcoco")
LOOK = next(number for number, hoi in enumerate(VCOCO.hois) if hoi.text == "person looking at bicycle")


def onlookers(count):
    """Annotate, with V-COCO's categories, one person beside a bicycle who looks at it."""
    random = np.random.default_rng(5)
    images = []
    for _ in range(count):
        x, y, size = random.uniform(0, 40), random.uniform(20, 50), random.uniform(20, 40)
        beside = (x + 1.2 * size, y, x + 1.5 * size, y + 0.9 * size)
        images.append(annotate((beside, (x, y, x + size, y + size), LOOK), vocabulary=VCOCO))
    return scenes_from_annotations(images, VCOCO)


def test_training_on_two_vocabularies_learns_the_rows_of_both(scenes, tmp_path):
    more = onlookers(40)
    trainer = PairTrainer(scenes, SHORT, tmp_path, more=more, head_config=SMALL)
    assert [len(part) for part in trainer.held_out] == [20, 5]
    assert trainer.total_steps == 10 * ((160 + 2 * 30) // 16)
    head = trainer.run()
    assert head.config == SMALL
    looks = score_pairs(head, exact_detections(more), more)
    of_look = looks.hoi_ids == LOOK
    assert looks.is_true[of_look].all()
    assert looks.scores[of_look].min() > 1.5 * looks.scores[~of_look].max()
    values = average_precisions(score_pairs(head, exact_detections(scenes), scenes), VOCABULARY)
    assert values[RIDE] == values[NOTHING] == 1
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["evaluation/vcoco exact/full"] == 100


def test_an_image_says_nothing_about_categories_of_the_other_vocabulary(scenes):
    more, vcoco = onlookers(8), rows_of("vcoco")
    for few, silent in ((scenes.pick(torch.arange(8)), vcoco), (more, slice(0, vcoco.start))):
        head = PairHead(SMALL)
        pair_loss(score_batch(head, head.hoi_weight, exact_detections(few), few), share_kept=1).backward()
        assert not head.hoi_weight.grad[silent].any()
        assert not head.hoi_bias.grad[silent].any()
        assert head.hoi_bias.grad.any()


def test_calibration_changes_only_the_rows_of_its_vocabulary(scenes):
    head = new_network(join_scenes(scenes, onlookers(8))).store_rows()
    before = head.hoi_bias.detach().clone()
    calibrate(head, exact_detections(scenes), scenes)
    changed = (head.hoi_bias != before).tolist()
    first = rows_of("vcoco").start
    assert changed == [True] * first + [False] * (NUM_ROWS - first)


def test_training_further_starts_with_the_scores_of_the_head(scenes, tmp_path):
    head = new_network(scenes).store_rows()
    further = PairTrainer(scenes, SHORT.model_copy(update={"learning_rate": 1e-12, "epochs": 1}), tmp_path, start=head).run()
    detections = exact_detections(scenes)
    before, after = (average_precisions(score_pairs(each, detections, scenes), VOCABULARY) for each in (head, further))
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert further.config == dataclasses.replace(SMALL, has_vcoco=False)


def test_too_few_images_are_refused(scenes, tmp_path):
    with pytest.raises(TrainingError, match=r"at least 201 images with interactions .* got 200; lower the batch"):
        PairTrainer(scenes, SHORT.model_copy(update={"held_out": 185}), tmp_path)


def test_leaving_out_pairs_keeps_the_expected_loss(scenes):
    network, few = new_network(scenes), scenes.pick(torch.arange(40))
    detections = PairTrainer(scenes, SHORT, None, head_config=SMALL).detections(few)
    complete = pair_loss(network(detections, few), share_kept=1.0).item()
    random = torch.Generator().manual_seed(0)
    losses = [
        pair_loss(network(detections, few, is_kept=torch.rand((40, 3, 9), generator=random) < 0.3), share_kept=0.3).item()
        for _ in range(40)
    ]
    assert np.mean(losses) == pytest.approx(complete, rel=0.05)


def test_annotated_pairs_are_never_left_out(scenes):
    network, few = new_network(scenes), scenes.pick(torch.arange(8))
    pairs = network(exact_detections(few), few, is_kept=torch.zeros((8, 3, 9), dtype=torch.bool))
    assert len(pairs.logits) == 8 * 4
    assert pairs.is_annotated.all()
    assert int(pairs.targets.sum()) == 16


def test_stored_rows_score_as_the_network_does(scenes):
    network, few = new_network(scenes), scenes.pick(torch.arange(8))
    head = network.store_rows()
    assert torch.equal(network(exact_detections(few), few).logits, score_batch(head, head.hoi_weight, exact_detections(few), few).logits)


def test_scores_of_training_are_those_of_the_engine_contract(scenes):
    few = scenes.pick(torch.arange(4))
    head, detections = new_network(scenes).store_rows(), exact_detections(few)
    pairs = score_batch(head, head.hoi_weight, detections, few)
    outputs = head(*detections[:3])
    arrays = head.classifier_arrays()
    logits = outputs.interaction_embeddings.detach().numpy() @ arrays["hoi_weight"].T + arrays["hoi_bias"]
    image, person, thing = (places.numpy() for places in pairs.places)
    query = person * (SMALL.people + SMALL.objects) + thing
    for place in range(pairs.hoi_ids.shape[1]):
        chosen = pairs.is_category[:, place].numpy()
        hoi_ids = pairs.hoi_ids[:, place].numpy()[chosen]
        np.testing.assert_allclose(
            logits[image[chosen], query[chosen], hoi_ids], pairs.logits[:, place].detach().numpy()[chosen], atol=1e-4
        )


def test_calibration_undoes_a_factor_and_an_offset(scenes):
    detections = exact_detections(scenes)
    head = new_network(scenes).store_rows()
    calibrate(head, detections, scenes)
    right = log_loss(score_pairs(head, detections, scenes))
    head.hoi_weight.data.mul_(2)
    head.hoi_bias.data.mul_(2).add_(2)
    assert log_loss(score_pairs(head, detections, scenes)) > right + 0.1
    calibrate(head, detections, scenes)
    assert log_loss(score_pairs(head, detections, scenes)) == pytest.approx(right, rel=0.03)


def test_reliability_compares_scores_with_shares_on_both_sides_of_an_edge():
    scores = TripletScores(np.zeros(5, np.int64), np.array([0.05, 0.0999, 0.1, 0.95, 1.0], np.float32), np.array([0, 1, 1, 1, 0], bool))
    low, second, high = reliability(scores)
    assert (low.count, low.share_true) == (2, 0.5)
    assert (second.count, second.share_true) == (1, 1.0)
    assert (high.count, high.share_true) == (2, 0.5)
    assert high.mean_score == pytest.approx(0.975)
    expected = (2 * abs(low.mean_score - 0.5) + 0.9 + 2 * 0.475) / 5
    assert calibration_error([low, second, high]) == pytest.approx(expected, abs=1e-6)


def test_average_precision_is_by_category_and_nan_without_a_true_pair():
    ids = np.array([3, 3, 3, 5], np.int64)
    scores = TripletScores(ids, np.array([0.9, 0.8, 0.7, 0.5], np.float32), np.array([True, False, True, False]))
    values = average_precisions(scores, VOCABULARY)
    assert values[3] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(values[5])
    means = mean_precisions(values, VOCABULARY)
    assert means["full"] == means["non-rare"] == pytest.approx(5 / 6)
    assert np.isnan(means["rare"])
