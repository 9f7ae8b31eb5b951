"""`edge-hoi sinks`: test whether events would be delivered."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from edge_hoi.cli.terminal import out
from edge_hoi.errors import ConfigError, DeliveryError, EdgeHoiError, SinkFaultError, SinkUnavailableError

if TYPE_CHECKING:
    from edge_hoi.sinks import SinkContext, SinkSettings

app = typer.Typer(no_args_is_help=True, help="Test the sinks of a configuration.")


@app.callback()
def _group() -> None:
    """Keep `test` a subcommand."""


@app.command("test")
def try_sinks(
    config: Annotated[Path, typer.Argument(help="Configuration with `sinks`.")],
    sink: Annotated[str | None, typer.Option("--sink", help="Test only this sink: its name, or its type if it has none.")] = None,
) -> None:
    """Send a started and an ended test event to each sink, with `camera_events` also two of a camera, and explain failures.

    The events have the camera "edge-hoi-sinks-test" and the text "person testing edge-hoi". A running pipeline is not disturbed.
    """
    from edge_hoi.config import load_config
    from edge_hoi.sinks import SinkContext

    settings = load_config(config)
    chosen = [entry for entry in settings.sinks if sink in (None, entry.sink_name)]
    if not chosen:
        known = ", ".join(entry.sink_name for entry in settings.sinks)
        raise ConfigError(f"{config}: there is no sink {sink!r}; its sinks are {known}" if known else f"{config}: it has no sinks")
    context = SinkContext(settings.site, is_test=True)
    failures = [entry.sink_name for entry in chosen if not _try(entry, context)]
    if failures:
        raise typer.Exit(DeliveryError.exit_code)


def _try(settings: "SinkSettings", context: "SinkContext") -> bool:
    """Send the test events to one sink, and print the result."""
    from edge_hoi.sinks import Message, make_camera_probe, make_probe

    began = time.monotonic()
    events = [*make_probe(context.site), *(make_camera_probe(context.site) if settings.camera_events else ())]
    try:
        with settings.make(context) as sink:
            sink.deliver([Message.of(event) for event in events])
    except EdgeHoiError as error:
        out.print(Text.assemble(("✗", "bold red"), f" {settings.sink_name}: {error} ({_consequence(error)})"), soft_wrap=True)
        return False
    milliseconds = (time.monotonic() - began) * 1000
    of_camera = ", and two of a camera," if settings.camera_events else ""
    text = f" {settings.sink_name}: accepted a started and an ended event{of_camera} in {milliseconds:.0f} ms"
    out.print(Text.assemble(("✓", "bold green"), text))
    return True


def _consequence(error: EdgeHoiError) -> str:
    """Describe what a run would do."""
    if isinstance(error, SinkUnavailableError):
        return "a run would retry until it succeeds"
    if isinstance(error, SinkFaultError):
        return "a run would keep its events until this is fixed"
    return "a run could not use this sink"
