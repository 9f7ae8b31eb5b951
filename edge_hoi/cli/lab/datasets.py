"""`edge-hoi datasets`: what of a data set is on disk, and where to get the rest."""

import json
from pathlib import Path
from typing import Annotated

import typer

from edge_hoi.cli.terminal import out

app = typer.Typer(no_args_is_help=True, help="Look at data sets of pictures with annotated interactions: HICO-DET, V-COCO, one's own.")


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="hico_det, vcoco, or custom.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="The folder it lies in; docs/datasets.md shows the layouts.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Name the annotation files and pictures that are missing, and where to get them.

    Exits with 1 if anything is missing.

        edge-hoi datasets check hico_det --data data/hico_20160224_det
    """
    from edge_hoi.lab.datasets.check import check_dataset

    checks = check_dataset(name, data)
    if as_json:
        out.print_json(json.dumps([check.to_json() for check in checks]))
    else:
        for split in checks:
            counts = ", ".join(f"{count} {what}" for what, count in split.counts.items())
            out.print(f"[bold]{name} {split.split}[/]: {counts or 'not usable'}", soft_wrap=True)
            for problem in split.problems:
                out.print("  [yellow]![/] ", end="")
                out.print(problem, markup=False, soft_wrap=True)
            if not split.problems:
                out.print("  [green]complete[/]")
    if any(split.problems for split in checks):
        raise typer.Exit(1)


@app.command("vocabulary")
def vocabulary(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of one's own data set, with annotations.json.")],
) -> None:
    """Write the categories that one's own annotations mention as vocabulary.yaml beside them.

    Edit it to give objects and prompts better words, to add categories, and to use it with `edge-hoi run --vocabulary`.

        edge-hoi datasets vocabulary data/yard
    """
    from edge_hoi.lab.datasets.custom import write_vocabulary
    from edge_hoi.vocabulary import load_vocabulary

    path = write_vocabulary(data)
    out.print(f"{path}: {len(load_vocabulary(path))} categories", soft_wrap=True, markup=False)
