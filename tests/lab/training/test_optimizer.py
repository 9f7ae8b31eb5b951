import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import ConfigError
from edge_hoi.lab.training.config import TrainConfig, describe_settings, parse_settings
from edge_hoi.lab.training.network import HoiclipWithClassifier
from edge_hoi.lab.training.optimizer import build_optimizer, learning_rate_factor, set_learning_rate


def factor(step, **settings):
    return learning_rate_factor(step, steps_per_epoch=10, config=TrainConfig(**settings))


def names_of(network, group):
    ids = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in network.named_parameters() if id(parameter) in ids}


def test_defaults_are_the_published_ones():
    config = TrainConfig()
    assert (config.epochs, config.batch_size, config.learning_rate, config.backbone_learning_rate) == (90, 16, 1e-4, 1e-5)
    assert (config.weight_decay, config.gradient_norm, config.schedule) == (1e-4, 0.1, "step")


def test_step_schedule_drops_at_60_of_90_epochs():
    assert [factor(step) for step in (0, 599, 600, 899)] == [1, 1, 0.1, 0.1]


def test_step_schedule_keeps_its_proportions_in_shorter_runs():
    assert [factor(step, epochs=9) for step in (0, 59, 60, 89)] == [1, 1, 0.1, 0.1]


def test_cosine_schedule_warms_up_and_decays_to_zero():
    settings = {"schedule": "cosine", "warmup_steps": 20, "epochs": 10}
    course = [factor(step, **settings) for step in range(100)]
    assert course[0] == pytest.approx(1 / 20)
    assert course[19] == pytest.approx(1)
    assert course[60] == pytest.approx(0.5)
    assert course[:20] == sorted(course[:20])
    assert course[20:] == sorted(course[20:], reverse=True)
    assert course[-1] < 0.001


def test_groups_hold_everything_that_is_trained_once(untrained):
    checkpoint = untrained()
    network = HoiclipWithClassifier(checkpoint.model, checkpoint.classifier)
    others, backbone = build_optimizer(network, TrainConfig()).param_groups
    assert (others["lr"], backbone["lr"]) == (1e-4, 1e-5)
    assert others["weight_decay"] == backbone["weight_decay"] == 1e-4
    assert all(name.startswith("model.backbone.") for name in names_of(network, backbone))
    trained = names_of(network, others) | names_of(network, backbone)
    assert not names_of(network, others) & names_of(network, backbone)
    fixed = {name for name, _ in network.named_parameters()} - trained
    assert fixed
    assert all(name.startswith(("model.clip.", "model.backbone.conv1", "model.backbone.layer1")) for name in fixed)
    assert {"classifier.hoi_weight", "classifier.verb_weight", "classifier.hoi_log_scale"} <= names_of(network, others)


def test_a_whole_backbone_trains_its_stem_and_batch_normalisation(untrained):
    checkpoint = untrained()
    network = HoiclipWithClassifier(checkpoint.model, checkpoint.classifier, trains_whole_backbone=True)
    backbone = names_of(network, build_optimizer(network, TrainConfig()).param_groups[1])
    assert {"model.backbone.conv1.weight", "model.backbone.bn1.weight", "model.backbone.layer1.0.bn2.bias"} <= backbone


def test_learning_rates_keep_their_ratio(untrained):
    checkpoint = untrained()
    optimizer = build_optimizer(HoiclipWithClassifier(checkpoint.model, checkpoint.classifier), TrainConfig())
    set_learning_rate(optimizer, 0.5)
    set_learning_rate(optimizer, 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-5, 1e-6])


def test_settings_are_read_from_a_command_line():
    config = parse_settings(TrainConfig, ["learning_rate=5e-5", "ema_decay=0.99", "trains_whole_backbone=true"], {"epochs": 3})
    assert (config.learning_rate, config.ema_decay, config.trains_whole_backbone, config.epochs) == (5e-5, 0.99, True, 3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rat=1", "unknown setting 'learning_rat'; did you mean 'learning_rate'"),
        ("learning_rate", "a setting is NAME=VALUE"),
        ("ema_decay=1.5", "ema_decay: Input should be less than 1, got '1.5'"),
        ("schedule=linear", "schedule: Input should be 'step' or 'cosine'"),
    ],
)
def test_settings_that_are_not_usable_are_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        parse_settings(TrainConfig, [setting], {})


def test_every_setting_is_described():
    lines = describe_settings(TrainConfig)
    assert len(lines) == len(TrainConfig.model_fields)
    assert "batch_size=16  Images per step, over all processes" in lines
