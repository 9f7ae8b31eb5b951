"""`edge-hoi datasets`: check of data sets on disk, and vocabularies of custom ones."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge_hoi.cli.lab.results import progress_bar
from edge_hoi.cli.terminal import out

app = typer.Typer(no_args_is_help=True, help="Check data sets (HICO-DET, V-COCO, custom), or write the vocabulary of a custom one.")


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
            out.print(split.title, style="bold", end="", markup=False)
            out.print(f": {counts or 'not usable'}", soft_wrap=True)
            for problem in split.problems:
                out.print("  [yellow]![/] ", end="")
                out.print(problem, markup=False, soft_wrap=True)
            if not split.problems:
                out.print("  [green]complete[/]")
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
    out.print(f"{path}: {len(load_vocabulary(path))} categories", soft_wrap=True, markup=False)
