"""`edge-hoi schema`: what other systems receive, in machine-readable form."""

import json
from typing import Annotated

import typer

from edge_hoi.cli.terminal import out
from edge_hoi.compat import StrEnum

app = typer.Typer(no_args_is_help=True, help="Print the schemas of messages.")


class SchemaName(StrEnum):
    """What can be printed."""

    INTERACTION = "interaction"
    CAMERA = "camera"
    STATE = "state"
    FRIGATE = "frigate"
    FRIGATE_REVIEW = "frigate-review"
    ASYNCAPI = "asyncapi"


@app.callback()
def _group() -> None:
    """Keep `print` a subcommand."""


@app.command("print")
def print_schema(
    name: Annotated[SchemaName, typer.Argument(help="Of which message; asyncapi for all channels and messages.")] = SchemaName.INTERACTION,
) -> None:
    """Print a JSON Schema (2020-12), or the AsyncAPI 3 document of all channels and messages as YAML.

    edge-hoi schema print camera > camera-event.schema.json
    """
    import yaml

    from edge_hoi.sinks.asyncapi import asyncapi_document
    from edge_hoi.sinks.schemas import SCHEMAS

    if name is SchemaName.ASYNCAPI:
        text = yaml.safe_dump(asyncapi_document(), sort_keys=False, allow_unicode=True, width=120)
    else:
        text = json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False)
    out.print(text.rstrip("\n"), markup=False, highlight=False, soft_wrap=True)
