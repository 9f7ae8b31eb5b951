"""The training loop on noise: weights that change, files, and exact resumption."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from training_samples import RandomSamples

from edge_hoi.errors import CheckpointError, TrainingError
from edge_hoi.lab.training.config import TrainConfig
from edge_hoi.lab.training.resume import FORMAT
from edge_hoi.lab.training.trainer import Trainer
from edge_hoi.model import load_checkpoint


class InterruptionError(Exception):
    pass


def settings(**changes):
    return TrainConfig(**{"epochs": 2, "batch_size": 4, "workers": 0, "log_every_steps": 1, "save_every_steps": 1} | changes)


def train(checkpoint, folder, *, stop_after=None, samples=None, report=None, **options):
    """Train, and maybe break off after a step."""

    def watch(step, metrics):
        if report:
            report(step, metrics)
        if step == stop_after:
            raise InterruptionError

    config = options.pop("config", settings())
    return Trainer(checkpoint, samples or RandomSamples(), config, folder, report=watch, **options).run()


def tensors_of(path):
    return load_checkpoint(path).tensors()


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": 0.9},
        {"trains_whole_backbone": True, "schedule": "cosine", "warmup_steps": 2},
        {"save_every_steps": 3},
        {"query_groups": 3},
    ],
    ids=["plain", "mean of weights", "whole backbone", "saved a step before", "groups of queries"],
)
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, untrained, changes):
    config = settings(**{"epochs": 3} | changes)
    train(untrained(), tmp_path / "whole", config=config)
    with pytest.raises(InterruptionError):  # in the middle of an epoch, after the state of the step before was saved
        train(untrained(), tmp_path / "parts", config=config, stop_after=4)
    train(untrained(), tmp_path / "parts", config=config, resumes=True)
    assert_equal(tensors_of(tmp_path / "parts" / "model.safetensors"), tensors_of(tmp_path / "whole" / "model.safetensors"))
    journals = [(tmp_path / run / "metrics.jsonl").read_text().splitlines() for run in ("whole", "parts")]
    untimed = [
        [{key: value for key, value in json.loads(line).items() if key != "images_per_second"} for line in lines] for lines in journals
    ]
    assert untimed[0] == untimed[1]


def test_training_changes_all_but_clip_the_first_stage_and_statistics(tmp_path, untrained):
    before = untrained().tensors()
    after = train(untrained(), tmp_path).tensors()
    unchanged = {name for name, tensor in before.items() if torch.equal(after[name], tensor)}
    assert {name for name in before if name.startswith(("text.", "model.clip."))} <= unchanged
    assert "model.backbone.conv1.weight" in unchanged
    assert "model.backbone.layer1.0.conv1.weight" in unchanged
    frozen = ("text.", "model.clip.", "model.backbone.conv1", "model.backbone.layer1", "classifier.verb_share", "classifier.verb_to_hoi")
    rest = {name for name in unchanged if not name.startswith(frozen)}
    # Content starts at zero, so the first self-attention's values have no gradient.
    rest -= {"model.instance_decoder.layers.0.self_attention.value.weight"}
    assert {name for name in rest if ".bn" not in name and ".downsample.1." not in name} == set()
    assert "classifier.verb_weight" not in unchanged
    assert "model.backbone.layer4.0.conv1.weight" not in unchanged


def test_a_whole_backbone_learns_its_statistics_and_loads_again(tmp_path, untrained):
    before = untrained().tensors()
    after = train(untrained(), tmp_path, config=settings(trains_whole_backbone=True)).tensors()
    for name in ("conv1.weight", "bn1.weight", "bn1.running_mean", "layer1.0.bn2.running_var"):
        assert not torch.equal(after[f"model.backbone.{name}"], before[f"model.backbone.{name}"]), name
    assert_equal(tensors_of(tmp_path / "model.safetensors"), after)


def test_what_is_returned_is_what_was_written(tmp_path, untrained):
    checkpoint = train(untrained(), tmp_path, config=settings(ema_decay=0.5))
    assert not checkpoint.model.training
    assert_equal(tensors_of(tmp_path / "model.safetensors"), checkpoint.tensors())


def test_the_mean_of_weights_is_kept_instead_of_the_last(tmp_path, untrained):
    plain = train(untrained(), tmp_path / "plain").tensors()
    mean = train(untrained(), tmp_path / "mean", config=settings(ema_decay=0.5)).tensors()
    assert not torch.equal(mean["model.human_queries"], plain["model.human_queries"])


def test_equal_runs_are_equal_and_seeds_are_not(tmp_path, untrained):
    runs = [train(untrained(), tmp_path / str(number), config=settings(seed=number // 2)).tensors() for number in range(3)]
    assert_equal(runs[1], runs[0])
    assert not torch.equal(runs[2]["model.human_queries"], runs[0]["model.human_queries"])


def test_reading_ahead_changes_nothing(tmp_path, untrained):
    runs = [train(untrained(), tmp_path / str(workers), config=settings(workers=workers)).tensors() for workers in (0, 2)]
    assert_equal(runs[1], runs[0])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_too(tmp_path, untrained, precision):
    seen = []
    train(untrained(), tmp_path, config=settings(precision=precision, epochs=1), report=lambda _, metrics: seen.append(metrics["loss"]))
    full = []
    train(untrained(), tmp_path / "full", config=settings(epochs=1), report=lambda _, metrics: full.append(metrics["loss"]))
    assert seen[0] == pytest.approx(full[0], rel=0.05)
    assert seen != full


def test_gradients_are_shortened(tmp_path, untrained, monkeypatch):
    lengths = []
    step = torch.optim.AdamW.step

    def measure(optimizer, *arguments, **named):
        gradients = [parameter.grad for group in optimizer.param_groups for parameter in group["params"]]
        lengths.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))
        return step(optimizer, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", measure)
    reported = []
    train(untrained(), tmp_path, config=settings(epochs=1), report=lambda _, metrics: reported.append(metrics["gradient_norm"]))
    assert min(reported) > 0.1
    assert lengths == pytest.approx([0.1] * len(lengths), rel=1e-3)


def test_the_best_checkpoint_is_kept_beside_the_last(tmp_path, untrained):
    metrics = iter([20.0, 10.0, 5.0])
    seen = []

    def evaluate(checkpoint):
        assert not checkpoint.model.training
        seen.append(checkpoint.model.human_queries.detach().clone())
        return {"mAP": next(metrics), "other": 99.0}

    train(untrained(), tmp_path, config=settings(epochs=3), evaluate=evaluate)
    assert torch.equal(load_checkpoint(tmp_path / "best.safetensors").model.human_queries, seen[0])
    assert torch.equal(load_checkpoint(tmp_path / "model.safetensors").model.human_queries, seen[2])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["evaluation/mAP"] for line in lines if "evaluation/mAP" in line] == [20, 10, 5]


def test_evaluation_waits_for_its_epoch_and_never_misses_the_end(tmp_path, untrained):
    steps = []
    train(
        untrained(),
        tmp_path,
        config=settings(epochs=3, evaluate_every_epochs=2),
        evaluate=lambda _: {"mAP": 1.0},
        report=lambda step, metrics: steps.append(step) if "evaluation/mAP" in metrics else None,
    )
    assert steps == [4, 6]


def test_metrics_go_to_tensorboard(tmp_path, untrained):
    pytest.importorskip("tensorboard", reason="needs the extra: pip install '.[train]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(untrained(), tmp_path)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "images", "message"),
    [
        ({"learning_rate": 1e-3}, 8, "is of a run with learning_rate 0.0001, this is one with 0.001"),
        ({"epochs": 5}, 8, "is of a run with epochs 2, this is one with 5"),
        ({}, 12, "is of a run on 8 images, this is one on 12"),
    ],
)
def test_resuming_another_run_is_refused(tmp_path, untrained, changes, images, message):
    train(untrained(), tmp_path)
    with pytest.raises(TrainingError, match=message):
        train(untrained(), tmp_path, config=settings(**changes), samples=RandomSamples(images), resumes=True)


def test_resuming_with_other_logging_is_allowed(tmp_path, untrained):
    with pytest.raises(InterruptionError):
        train(untrained(), tmp_path, stop_after=3)
    train(untrained(), tmp_path, config=settings(log_every_steps=2), resumes=True)
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2, 4]


def test_resuming_nothing_is_refused(tmp_path, untrained):
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(untrained(), tmp_path, resumes=True)


def test_resuming_a_state_of_another_network_is_refused(tmp_path, untrained):
    train(untrained(), tmp_path)
    with pytest.raises(TrainingError, match="with another network"):
        train(untrained("vcoco"), tmp_path, samples=RandomSamples(categories=263, objects=81), resumes=True)


@pytest.mark.parametrize("numbers", [None, "", "{", "[" * 100_000])
def test_resuming_a_damaged_state_is_refused(tmp_path, untrained, numbers):
    import safetensors.torch

    metadata = {"format": FORMAT} | ({} if numbers is None else {"numbers": numbers})
    safetensors.torch.save_file({"network.a": torch.zeros(1)}, tmp_path / "state.safetensors", metadata)
    with pytest.raises(CheckpointError, match="its numbers are missing or damaged; start a new run"):
        train(untrained(), tmp_path, resumes=True)


def test_non_finite_gradients_are_reported_and_not_saved(tmp_path, untrained):
    checkpoint = untrained()
    with torch.no_grad():
        checkpoint.model.human_box_head.layers[0].weight.fill_(float("inf"))
    with pytest.raises(TrainingError, match="not finite"):
        train(checkpoint, tmp_path)
    assert not (tmp_path / "state.safetensors").exists()


def test_a_state_holds_no_code_and_no_clip(tmp_path, untrained):
    import safetensors

    train(untrained(), tmp_path)
    with safetensors.safe_open(tmp_path / "state.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert not any("clip" in name for name in names)
    assert {"network.model.human_queries", "optimizer.model.human_queries/exp_avg"} <= names
