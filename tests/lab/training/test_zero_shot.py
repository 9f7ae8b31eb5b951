import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from training_samples import RandomSamples

from edge_hoi.lab.training.config import TrainConfig
from edge_hoi.lab.training.trainer import Trainer
from edge_hoi.lab.training.zero_shot import add_seen_classifier, seen_hoi_ids
from edge_hoi.model import load_checkpoint
from edge_hoi.vocabulary import load_vocabulary, zero_shot_split

UNSEEN = zero_shot_split("rare_first")


def test_the_trained_classifier_has_the_seen_rows_only(untrained):
    checkpoint = add_seen_classifier(untrained(), UNSEEN)
    seen = seen_hoi_ids(600, UNSEEN)
    assert len(seen) == 480
    assert torch.equal(checkpoint.seen_classifier.hoi_weight, checkpoint.classifier.hoi_weight[seen])
    verb_ids = load_vocabulary("hico_det").verb_ids
    assert checkpoint.seen_classifier.verb_to_hoi.argmax(0).tolist() == verb_ids[seen].tolist()


def test_training_updates_the_shared_weights_of_both_classifiers(tmp_path, untrained):
    before = untrained().classifier
    samples = RandomSamples(count=4, categories=480)
    config = TrainConfig(epochs=1, batch_size=4, workers=0)
    checkpoint = Trainer(add_seen_classifier(untrained(), UNSEEN), samples, config, tmp_path).run()
    everything, trained = checkpoint.classifier, checkpoint.seen_classifier
    assert torch.equal(everything.hoi_weight, before.hoi_weight)
    assert not everything.hoi_bias.any()
    assert not torch.equal(trained.hoi_weight, before.hoi_weight[seen_hoi_ids(600, UNSEEN)])
    for name in ("object_weight", "verb_weight", "hoi_log_scale", "object_bias"):
        assert torch.equal(getattr(everything, name), getattr(trained, name)), name
        assert not torch.equal(getattr(everything, name), getattr(before, name)), name
    written = load_checkpoint(tmp_path / "model.safetensors")
    assert torch.equal(written.classifier.object_weight, trained.object_weight)
    assert torch.equal(written.seen_classifier.hoi_weight, trained.hoi_weight)


def test_a_checkpoint_of_the_same_split_goes_on_and_one_of_another_begins_anew(untrained):
    checkpoint = add_seen_classifier(untrained(), UNSEEN)
    assert add_seen_classifier(checkpoint, UNSEEN) is checkpoint
    other = zero_shot_split("non_rare_first")
    assert torch.equal(
        add_seen_classifier(checkpoint, other).seen_classifier.hoi_weight, checkpoint.classifier.hoi_weight[seen_hoi_ids(600, other)]
    )
