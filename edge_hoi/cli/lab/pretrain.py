"""`edge-hoi pretrain`: training of a network's parts before interactions."""

import typer

from edge_hoi.cli.lab.pretrain_clip import clip
from edge_hoi.cli.lab.pretrain_detector import pretrain_detector

app = typer.Typer(no_args_is_help=True, help="Pre-train the CLIP or the detector of a network, before `edge-hoi train`.")
app.command("clip")(clip)
app.command("detector")(pretrain_detector)
