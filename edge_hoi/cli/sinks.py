"""`edge-hoi sinks`: whether events would arrive."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_hoi.cli.terminal import out
from edge_hoi.errors import ConfigError, DeliveryError, EdgeHoiError, SinkFaultError, SinkUnavailableError

if TYPE_CHECKING:
    from edge_hoi.sinks import SinkContext, SinkSettings

app = typer.Typer(no_args_is_help=True, help="Try the sinks of a configuration.")


@app.callback()
def _group() -> None:
    """Keep `test` a command of its own."""


@app.command("test")
def try_sinks(
    config: Annotated[Path, typer.Argument(help="Configuration with `sinks`.")],
    sink: Annotated[str | None, typer.Option("--sink", help="Try this one only: its name, or its type where it has none.")] = None,
) -> None:
    """Send a test event's start and end to each sink, and explain what is wrong.

    The events come from the camera "edge-hoi-sinks-test" and say "person testing edge-hoi". The running pipeline is not disturbed.
    """
    from edge_hoi.config import load_config
    from edge_hoi.sinks import SinkContext

    settings = load_config(config)
    chosen = [entry for entry in settings.sinks if sink in (None, entry.sink_name)]
    if not chosen:
        known = ", ".join(entry.sink_name for entry in settings.sinks)
        raise ConfigError(f"{config}: there is no sink {sink!r}; known are {known}" if known else f"{config}: it names no sinks")
    context = SinkContext(settings.site, is_test=True)
    failures = [entry.sink_name for entry in chosen if not _try(entry, context)]
    if failures:
        raise typer.Exit(DeliveryError.exit_code)


def _try(settings: "SinkSettings", context: "SinkContext") -> bool:
    """Send the test events to one sink, and print how it went."""
    from edge_hoi.sinks import Message, make_probe

    began = time.monotonic()
    try:
        with settings.make(context) as sink:
            sink.deliver([Message.of(event) for event in make_probe(context.site)])
    except EdgeHoiError as error:
        out.print(f"[bold red]✗[/] {settings.sink_name}: ", end="")
        out.print(f"{error} ({_what_a_run_would_do(error)})", markup=False, soft_wrap=True)
        return False
    out.print(f"[bold green]✓[/] {settings.sink_name}: took a start and an end in {(time.monotonic() - began) * 1000:.0f} ms")
    return True


def _what_a_run_would_do(error: EdgeHoiError) -> str:
    if isinstance(error, SinkUnavailableError):
        return "a run would try again for as long as it takes"
    if isinstance(error, SinkFaultError):
        return "a run would keep its events until this is mended"
    return "a run could not use this sink"
