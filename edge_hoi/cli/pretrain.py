"""`edge-hoi pretrain`: what parts of the network can learn before the whole is trained."""

import typer

from edge_hoi.cli.pretrain_detector import pretrain_detector

app = typer.Typer(no_args_is_help=True, help="Teach a part of the network, before the whole is trained.")
app.command("detector")(pretrain_detector)
