"""`edge-hoi pretrain detector`: a backbone and an encoder that know where people and objects are."""

from functools import partial
from typing import Annotated

import typer

from edge_hoi.cli.lab.training_run import (
    AugmentOption,
    DataOption,
    DatasetOption,
    DeviceOption,
    FixedSizeOption,
    LongestOption,
    OutputOption,
    ResumeOption,
    SettingsOption,
    ValidateOption,
    WorkersOption,
    choose_device,
    list_settings_option,
    need_packages,
    open_checkpoint,
    run_training,
    validation_set,
)
from edge_hoi.cli.terminal import out

_FROM_NOTHING = {
    "trains_whole_backbone": True,
    "learning_rate": 5e-4,
    "backbone_learning_rate": 5e-4,
    "schedule": "cosine",
    "warmup_steps": 100,
}
"""What suits a network that has learned nothing; `--set` overrides it."""


def pretrain_detector(
    data: DataOption,
    output: OutputOption,
    model: Annotated[str, typer.Option("--model", "-m", help="What to start from: untrained:VARIANT, or a checkpoint.")],
    dataset: DatasetOption = "custom",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the pictures.")] = 10,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Pictures of a step, over all processes.")] = 32,
    settings: SettingsOption = None,
    _list: Annotated[bool, list_settings_option("TrainConfig")] = False,
    validate_on: ValidateOption = None,
    longest: LongestOption = 1333,
    has_boxes_only: Annotated[
        bool,
        typer.Option("--boxes-only", help="Learn boxes and classes and no interaction, as the detector that HOICLIP's paper starts from."),
    ] = False,
    is_augmented: AugmentOption = True,
    has_fixed_size: FixedSizeOption = False,
    resume: ResumeOption = False,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """Teach backbone and encoder where people and objects are and what happens to them, cell by cell.

    HOICLIP's queries learn slowly in front of a backbone that sees nothing yet. Its paper starts from a DETR; this makes such a start from
    the same annotations. What is to be measured in zero-shot splits or with a part of the interactions starts --boxes-only: else the
    backbone has seen what training then hides. The settings learning_rate=5e-4, backbone_learning_rate=5e-4, trains_whole_backbone=true,
    schedule=cosine and warmup_steps=100 hold unless --set says otherwise. Then

        edge-hoi train --detector runs/detector/model.safetensors ...
    """
    need_packages()
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

    config = parse_settings(TrainConfig, settings or [], {"epochs": epochs, "batch_size": batch, "workers": workers, **_FROM_NOTHING})
    pictures, sizes = open_dataset(dataset, data, "train"), ImageSizes.for_longest(longest, is_fixed=has_fixed_size)
    vocabulary = pictures.vocabulary
    judged = validation_set(dataset, data, validate_on, vocabulary)
    with distributed.joined(choose_device(device)) as chosen:
        checkpoint = open_checkpoint(model, vocabulary, seed=config.seed)
        detector = DenseDetector(
            checkpoint.model,
            num_objects=len(vocabulary.objects),
            num_hois=len(vocabulary),
            trains_whole_backbone=config.trains_whole_backbone,
            seed=config.seed,
        )
        evaluate = None
        if judged is not None:
            look = partial(validate_detector, detector, judged, device=chosen, sizes=sizes, workers=workers)
            evaluate = lambda _checkpoint: look()  # noqa: E731 -- the detector is around the checkpoint's network
        given = {
            "model": model,
            "dataset": dataset,
            "data": str(data),
            "longest": longest,
            "augment": is_augmented,
            "fixed_size": has_fixed_size,
            "boxes_only": has_boxes_only,
        }
        is_first = run_training(
            lambda report: Trainer(
                checkpoint,
                HoiTrainingSet(pictures, clip_size=checkpoint.model.clip.image_size, sizes=sizes, is_augmented=is_augmented),
                config,
                output,
                device=chosen,
                network=detector,
                objective=DenseObjective(hoi=0.0) if has_boxes_only else DenseObjective(),
                evaluate=evaluate,
                report=report,
                resumes=resume,
            ),
            output,
            config,
            vocabulary,
            pictures=len(pictures),
            device=chosen,
            given=given,
        )
    if is_first:
        out.print(f"{output / MODEL_FILE}: pre-trained; train on with `edge-hoi train --detector {output / MODEL_FILE}`", soft_wrap=True)
