"""`edge-hoi pretrain clip`: from captioned images to a checkpoint with a CLIP of its own."""

from pathlib import Path
from typing import Annotated

import typer

from edge_hoi.cli.lab import training_run
from edge_hoi.cli.terminal import out


def clip(
    context: typer.Context,
    data: Annotated[Path, typer.Option("--data", help="Folder of captioned images, with captions.json; see docs/datasets.md.")],
    vocabulary: Annotated[Path, typer.Option("--vocabulary", help="Vocabulary file (YAML) of the checkpoint's classifier.")],
    output: training_run.OutputOption,
    model: Annotated[str, typer.Option("--model", "-m", help="Initial model: a checkpoint, or untrained:small.")] = "untrained:small",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images.")] = 10,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Images per step, contrasted with each other.")] = 256,
    settings: training_run.SettingsOption = None,
    _list: Annotated[bool, training_run.list_settings_option("ContrastiveConfig")] = False,
    validate_on: Annotated[
        Path | None, typer.Option("--validate", help="Folder of other captioned images, to rank against prompts of all meanings.")
    ] = None,
    resume: training_run.ResumeOption = False,
    device: training_run.DeviceOption = "auto",
) -> None:
    """Train a network's CLIP on captioned images, and build its classifier from text features.

    Needs `pip install '.[train]'` in a checkout of edge-hoi.

        edge-hoi pretrain clip --data captioned --vocabulary yard.yaml --output runs/clip --epochs 10
        edge-hoi train --data yard --model runs/clip/model.safetensors --output runs/yard
    """
    training_run.check_packages()
    from edge_hoi.lab.datasets.captions import read_captioned_images, read_squares
    from edge_hoi.lab.training.caption_batches import CaptionBatches
    from edge_hoi.lab.training.config import ContrastiveConfig, parse_settings
    from edge_hoi.lab.training.contrastive import zero_unused_embeddings
    from edge_hoi.lab.training.contrastive_trainer import ContrastiveTrainer
    from edge_hoi.lab.training.loop import MODEL_FILE
    from edge_hoi.lab.training.ranking import rank_prompts
    from edge_hoi.vocabulary import load_vocabulary

    config = parse_settings(ContrastiveConfig, settings or [], {"epochs": epochs, "batch_size": batch})
    loaded, chosen = load_vocabulary(vocabulary), training_run.choose_device(device)
    images, validation = read_captioned_images(data), read_captioned_images(validate_on) if validate_on else ()
    checkpoint = training_run.open_checkpoint(model, loaded, seed=config.seed)
    side = checkpoint.model.clip.image_size
    batches = CaptionBatches(images, read_squares(images, side), checkpoint.text, flips=config.flips, jitter=config.jitter)
    if model.startswith(training_run.UNTRAINED):
        zero_unused_embeddings(checkpoint.text, batches.token_ids)
    validation_squares = read_squares(validation, side)
    evaluate = (lambda current: rank_prompts(current, validation, validation_squares)) if validation else None
    training_run.run_training(
        lambda report: ContrastiveTrainer(
            checkpoint, loaded, batches, config, output, device=chosen, evaluate=evaluate, report=report, resumes=resume
        ),
        loaded,
        context.params,
    )
    out.print(f"{output / MODEL_FILE}: CLIP trained; continue with", soft_wrap=True)
    out.print(f"    edge-hoi train --data DATA --model {output / MODEL_FILE} --output RUN", soft_wrap=True)
