"""`edge-hoi pretrain`: what a network learns before it learns interactions."""

import typer

from edge_hoi.cli.lab.pretrain_clip import clip
from edge_hoi.cli.lab.pretrain_detector import pretrain_detector

app = typer.Typer(no_args_is_help=True, help="Train parts of a network before `edge-hoi train`, where there are no weights to start from.")
app.command("clip")(clip)
app.command("detector")(pretrain_detector)
