"""`edge-hoi train pairs`: from annotations to the head of a two-stage detector."""

from pathlib import Path
from typing import Annotated

import typer

from edge_hoi.cli.lab import training_run
from edge_hoi.cli.terminal import out


def pairs(
    data: Annotated[
        Path,
        typer.Option("--data", help="HICO-DET's training annotations: train2015_pairs.json.gz, instances_*.json or trainval_hico.json."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run: the head and metrics.")],
    images: Annotated[
        list[Path] | None, typer.Option("--images", help="Folder of the images; needed for trainval_hico.json, which has no sizes.")
    ] = None,
    vcoco: Annotated[
        Path | None, typer.Option("--vcoco", help="V-COCO's training annotations, for its roles: instances_vcoco_trainval.json or alike.")
    ] = None,
    start: Annotated[Path | None, typer.Option("--from", help="A trained head to train further.")] = None,
    learning_rate: Annotated[float, typer.Option("--learning-rate", min=1e-9, max=1.0, help="Largest learning rate.")] = 3e-3,
    idle_share: Annotated[
        float, typer.Option("--idle-share", min=0.0, max=1.0, help="Share of images whose annotated things are left out, as negatives.")
    ] = 0.5,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images.")] = 12,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Images per step.")] = 256,
    held_out: Annotated[int, typer.Option("--held-out", min=2, help="Images kept from training to calibrate and measure scores.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights, image order and the simulated detector.")] = 0,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; all cores by default.")] = None,
) -> None:
    """Train a pair head: people's interactions from classes and boxes alone.

    Needs annotations and no images. `edge-hoi build --detector` joins the head with a detector.

        edge-hoi train pairs --data train2015_pairs.json.gz --vcoco instances_vcoco_trainval.json --output runs/pairs
    """
    training_run.check_packages()
    import torch

    from edge_hoi.lab.datasets.sized_annotations import read_sized_annotations
    from edge_hoi.lab.datasets.sized_vcoco import read_sized_vcoco
    from edge_hoi.lab.training.pairs.scenes import scenes_from_annotations
    from edge_hoi.lab.training.pairs.simulated_detector import SimulationConfig
    from edge_hoi.lab.training.pairs.trainer import HEAD_FILE, PairTrainer, PairTrainingConfig
    from edge_hoi.model.pair_head import VOCABULARIES, load_pair_head
    from edge_hoi.vocabulary import load_vocabulary

    if threads:
        torch.set_num_threads(threads)
    first, second = map(load_vocabulary, VOCABULARIES)
    scenes = scenes_from_annotations(read_sized_annotations(data, images or ()), first)
    more = scenes_from_annotations(read_sized_vcoco(vcoco), second) if vcoco else None
    config = PairTrainingConfig(epochs=epochs, batch_size=batch, learning_rate=learning_rate, held_out=held_out, seed=seed)
    initial = load_pair_head(start) if start else None
    with training_run.show_progress(is_shown=True) as show:
        simulation = SimulationConfig(idle_share=idle_share)
        trainer = PairTrainer(scenes, config, output, more=more, start=initial, simulation=simulation, report=show)
        trainer.run()
    out.print(f"{output / HEAD_FILE}: trained on {len(trainer.scenes)} images", soft_wrap=True)
