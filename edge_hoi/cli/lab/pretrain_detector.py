"""`edge-hoi pretrain detector`: a backbone and an encoder that detect humans and objects."""

from functools import partial
from typing import Annotated

import typer

from edge_hoi.cli.lab import training_run
from edge_hoi.cli.terminal import out

_DEFAULTS = {
    "trains_whole_backbone": True,
    "learning_rate": 5e-4,
    "backbone_learning_rate": 5e-4,
    "schedule": "cosine",
    "warmup_steps": 100,
}
"""Settings for training from scratch; `--set` overrides them."""


def pretrain_detector(
    context: typer.Context,
    data: training_run.DataOption,
    output: training_run.OutputOption,
    model: Annotated[str, typer.Option("--model", "-m", help="Initial model: untrained:VARIANT, or a checkpoint.")],
    dataset: training_run.DatasetOption = "custom",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images.")] = 10,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per step, over all processes.")] = 32,
    settings: training_run.SettingsOption = None,
    _list: Annotated[bool, training_run.list_settings_option("TrainConfig")] = False,
    validate_on: training_run.ValidateOption = None,
    longest: training_run.LongestOption = 1333,
    boxes_only: Annotated[
        bool, typer.Option("--boxes-only", help="Train boxes and classes but no interactions, like the detector that HOICLIP starts from.")
    ] = False,
    augment: training_run.AugmentOption = True,
    fixed_size: training_run.FixedSizeOption = False,
    resume: training_run.ResumeOption = False,
    device: training_run.DeviceOption = "auto",
    workers: training_run.WorkersOption = 2,
) -> None:
    """Train backbone and encoder to detect humans, objects and their interactions, cell by cell.

    HOICLIP's queries train slowly with an untrained backbone. Its paper starts from a DETR; this makes such a detector from the same
    annotations. Use --boxes-only before zero-shot splits or training on a part of the interactions: otherwise the backbone has been
    trained on what is then excluded. Other defaults than `edge-hoi train`: learning_rate=5e-4, backbone_learning_rate=5e-4,
    trains_whole_backbone=true, schedule=cosine and warmup_steps=100; --set overrides them. Then

        edge-hoi train --detector runs/detector/model.safetensors ...
    """
    training_run.check_packages()
    from edge_hoi.lab.datasets import open_dataset
    from edge_hoi.lab.datasets.augment import ImageSizes
    from edge_hoi.lab.datasets.training_set import HoiTrainingSet
    from edge_hoi.lab.training import distributed
    from edge_hoi.lab.training.config import TrainConfig, parse_settings
    from edge_hoi.lab.training.dense_detection import DenseDetector
    from edge_hoi.lab.training.dense_objective import DenseObjective
    from edge_hoi.lab.training.dense_validation import validate_detector
    from edge_hoi.lab.training.loop import MODEL_FILE
    from edge_hoi.lab.training.trainer import Trainer

    config = parse_settings(TrainConfig, settings or [], {"epochs": epochs, "batch_size": batch, "workers": workers, **_DEFAULTS})
    images, sizes = open_dataset(dataset, data, "train"), ImageSizes.for_longest(longest, is_fixed=fixed_size)
    vocabulary = images.vocabulary
    validation = training_run.open_validation_set(dataset, data, validate_on, vocabulary)
    with distributed.joined(training_run.choose_device(device)) as chosen:
        checkpoint = training_run.open_checkpoint(model, vocabulary, seed=config.seed)
        detector = DenseDetector(
            checkpoint.model,
            num_objects=len(vocabulary.objects),
            num_hois=len(vocabulary),
            trains_whole_backbone=config.trains_whole_backbone,
            seed=config.seed,
        )
        evaluate = None
        if validation is not None:
            validate = partial(validate_detector, detector, validation, device=chosen, sizes=sizes, workers=workers)
            evaluate = lambda _checkpoint: validate()  # noqa: E731 -- the detector wraps the checkpoint's network
        is_first = training_run.run_training(
            lambda report: Trainer(
                checkpoint,
                HoiTrainingSet(images, clip_size=checkpoint.model.clip.image_size, sizes=sizes, is_augmented=augment),
                config,
                output,
                device=chosen,
                network=detector,
                objective=DenseObjective(hoi=0.0) if boxes_only else DenseObjective(),
                evaluate=evaluate,
                report=report,
                resumes=resume,
            ),
            vocabulary,
            context.params,
        )
    if is_first:
        out.print(f"{output / MODEL_FILE}: pre-trained; continue with `edge-hoi train --detector {output / MODEL_FILE}`", soft_wrap=True)
