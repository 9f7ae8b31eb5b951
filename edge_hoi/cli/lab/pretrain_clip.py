"""`edge-hoi pretrain clip`: from captioned pictures to a checkpoint with a CLIP of its own."""

from pathlib import Path
from typing import Annotated

import typer

from edge_hoi.cli.lab.training_run import (
    UNTRAINED,
    DeviceOption,
    OutputOption,
    ResumeOption,
    SettingsOption,
    choose_device,
    list_settings_option,
    need_packages,
    open_checkpoint,
    run_training,
)
from edge_hoi.cli.terminal import out


def clip(
    data: Annotated[Path, typer.Option("--data", help="Folder of captioned pictures, with captions.json; docs/datasets.md.")],
    vocabulary: Annotated[Path, typer.Option("--vocabulary", help="YAML list of what the checkpoint's classifier is to look for.")],
    output: OutputOption,
    model: Annotated[str, typer.Option("--model", "-m", help="What to start from: a checkpoint, or untrained:small.")] = "untrained:small",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the pictures.")] = 10,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Pictures of a step, which are told apart from each other.")] = 256,
    settings: SettingsOption = None,
    _list: Annotated[bool, list_settings_option("ContrastiveConfig")] = False,
    validate_on: Annotated[
        Path | None, typer.Option("--validate", help="Folder of other captioned pictures, to rank against what they show.")
    ] = None,
    resume: ResumeOption = False,
    device: DeviceOption = "auto",
) -> None:
    """Train a network's CLIP on captioned pictures, and make its classifier of text features. Needs the extra `train`.

    edge-hoi pretrain clip --data captioned --vocabulary yard.yaml --output runs/clip --epochs 10
    edge-hoi train --data yard --model runs/clip/model.safetensors --output runs/yard
    """
    need_packages()
    from edge_hoi.lab.datasets.captions import read_captioned_images, read_squares
    from edge_hoi.lab.training.caption_batches import CaptionBatches
    from edge_hoi.lab.training.config import ContrastiveConfig, parse_settings
    from edge_hoi.lab.training.contrastive import zero_unused_embeddings
    from edge_hoi.lab.training.contrastive_trainer import ContrastiveTrainer
    from edge_hoi.lab.training.loop import MODEL_FILE
    from edge_hoi.lab.training.ranking import rank_prompts
    from edge_hoi.vocabulary import load_vocabulary

    config = parse_settings(ContrastiveConfig, settings or [], {"epochs": epochs, "batch_size": batch})
    wanted, chosen = load_vocabulary(vocabulary), choose_device(device)
    pictures, judged = read_captioned_images(data), read_captioned_images(validate_on) if validate_on else ()
    checkpoint = open_checkpoint(model, wanted, seed=config.seed)
    side = checkpoint.model.clip.image_size
    batches = CaptionBatches(pictures, read_squares(pictures, side), checkpoint.text, flips=config.flips, jitter=config.jitter)
    if model.startswith(UNTRAINED):
        zero_unused_embeddings(checkpoint.text, batches.token_ids)
    judged_squares = read_squares(judged, side)
    run_training(
        lambda report: ContrastiveTrainer(
            checkpoint,
            wanted,
            batches,
            config,
            output,
            device=chosen,
            evaluate=(lambda current: rank_prompts(current, judged, judged_squares)) if judged else None,
            report=report,
            resumes=resume,
        ),
        output,
        config,
        wanted,
        pictures=len(pictures),
        device=chosen,
        given={"model": model, "data": str(data), "vocabulary": str(vocabulary)},
    )
    out.print(f"{output / MODEL_FILE}: CLIP trained; go on with", soft_wrap=True)
    out.print(f"    edge-hoi train --data DATA --model {output / MODEL_FILE} --output RUN", soft_wrap=True, markup=False)
