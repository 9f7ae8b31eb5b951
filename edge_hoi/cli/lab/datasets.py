"""`edge-hoi datasets`: check of data sets on disk, import, split and vocabularies of custom ones."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_hoi.cli.lab.results import progress_bar
from edge_hoi.cli.terminal import out, print_note

if TYPE_CHECKING:
    from edge_hoi.lab.datasets import AnnotatedImages

app = typer.Typer(
    no_args_is_help=True, help="Check data sets (HICO-DET, V-COCO, custom); import, split or list the categories of custom ones."
)


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="hico_det, vcoco, or custom.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="Folder of the data set; docs/datasets.md shows the layouts.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List missing annotation files and images, and where to get them, and boxes that do not fit their image.

    Exits with 1 if anything is missing or wrong.

        edge-hoi datasets check hico_det --data data/hico_20160224_det
    """
    from edge_hoi.lab.datasets.check import check_dataset

    with progress_bar("reading image sizes", is_counted=True) as update:
        checks = check_dataset(name, data, lambda done, total: update(completed=done, total=total))
    if as_json:
        out.print_json(json.dumps([asdict(check) for check in checks]))
    else:
        for split in checks:
            counts = ", ".join(f"{count} {what}" for what, count in split.counts.items())
            out.print(split.title, style="bold", end="")
            out.print(f": {counts or 'not usable'}", soft_wrap=True)
            for problem in split.problems:
                out.print("  ! ", style="yellow", end="")
                out.print(problem, soft_wrap=True)
            if not split.problems:
                out.print("  complete", style="green")
    if any(split.problems for split in checks):
        raise typer.Exit(1)


@app.command("vocabulary")
def vocabulary(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a custom data set, with annotations.json.")],
) -> None:
    """Write the annotated categories of a custom data set to vocabulary.yaml in its folder.

    Edit it to improve the prompts of categories and objects, to add categories, or to use it with `edge-hoi run --vocabulary`.

        edge-hoi datasets vocabulary data/yard
    """
    from edge_hoi.lab.datasets.custom import write_vocabulary
    from edge_hoi.vocabulary import load_vocabulary

    path = write_vocabulary(data)
    out.print(f"{path}: {len(load_vocabulary(path))} categories", soft_wrap=True)


@app.command("import")
def import_(
    form: Annotated[Literal["coco", "cvat", "label-studio", "yolo"], typer.Argument(help="Form of the export.")],
    export: Annotated[Path, typer.Argument(help="The export's file or unpacked folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new data set's folder, missing or empty.")],
    images: Annotated[Path | None, typer.Option("--images", help="Folder of the images; default: searched in the export's.")] = None,
    person: Annotated[list[str] | None, typer.Option("--person", help="Label of people; may be repeated; default: person.")] = None,
) -> None:
    """Convert an export of a labelling tool to a custom data set: its images are copied, its interactions checked.

    Interactions come from relations between boxes, or from an attribute `interaction` of boxes; docs/datasets.md describes how in each
    tool. Images without interactions are kept as negative examples.

        edge-hoi datasets import cvat export/annotations.xml --output data/yard
    """
    from edge_hoi.lab.datasets.imports import import_dataset

    with progress_bar("copying images", is_counted=True) as update:
        imported = import_dataset(
            form,
            export,
            output,
            images=images,
            people=person or ("person",),
            progress=lambda done, total: update(completed=done, total=total),
        )
    for what, count in imported.skipped.items():
        print_note(f"not imported: {count} x {what}")
    _print_dataset(output, imported.dataset)


@app.command("split")
def split(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a custom data set.")],
    fraction: Annotated[float, typer.Option("--fraction", help="Share of the images for training, between 0 and 1.")] = 0.8,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Of the random choice, which is the same everywhere.")] = 0,
    train: Annotated[Path | None, typer.Option("--train", help="Folder of the part for training; default: FOLDER-train.")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="Folder of the rest; default: FOLDER-test.")] = None,
) -> None:
    """Copy a custom data set into two, one for training and one for evaluation, with one vocabulary.

    edge-hoi datasets split data/yard --fraction 0.8
    """
    from edge_hoi.lab.datasets.split import split_dataset

    whole = data.resolve()
    folders = train or whole.with_name(f"{whole.name}-train"), test or whole.with_name(f"{whole.name}-test")
    with progress_bar("copying images", is_counted=True) as update:
        parts = split_dataset(
            data, *folders, fraction=fraction, seed=seed, progress=lambda done, total: update(completed=done, total=total)
        )
    for folder, part in zip(folders, (parts.train, parts.test), strict=True):
        _print_dataset(folder, part)
    if parts.untrained:
        shown = ", ".join(parts.untrained[:5]) + (" …" if len(parts.untrained) > 5 else "")
        print_note(f"{len(parts.untrained)} categories are in {folders[1]} only, so that training sees none: {shown}; try another --seed")


def _print_dataset(folder: Path, dataset: "AnnotatedImages") -> None:
    interactions = sum(map(len, dataset.annotations))
    counts = f"{len(dataset)} images, {interactions} interactions, {len(dataset.vocabulary)} categories"
    out.print(f"{folder}: {counts}", soft_wrap=True)
