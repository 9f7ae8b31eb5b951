"""`edge-hoi pretrain`: what a network learns before it learns interactions."""

import typer

from edge_hoi.cli import pretrain_clip

app = typer.Typer(no_args_is_help=True, help="Train parts of a network before `edge-hoi train`, where there are no weights to start from.")
app.command("clip")(pretrain_clip.clip)


@app.callback()
def _options() -> None:
    """Keep the commands' names while there is only one."""
