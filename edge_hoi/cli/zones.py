"""`edge-hoi zones`: check the zones and lines of a configuration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import ConfigError

if TYPE_CHECKING:
    from edge_hoi.config import SourceConfig
    from edge_hoi.types import Frame

app = typer.Typer(no_args_is_help=True, help="Check the zones and lines of a configuration.")


@app.callback()
def _group() -> None:
    """Keep `draw` a subcommand."""


@app.command("draw")
def draw(
    config: Annotated[Path, typer.Argument(help="Configuration with `zones` or `lines` of its sources.")],
    camera: Annotated[str | None, typer.Option("--camera", help="Name of the source; may be left out if there is only one.")] = None,
    output: Annotated[Path, typer.Option("--output", help="Image to write: .png or .jpg.")] = Path("zones.png"),
) -> None:
    """Draw a source's zones and lines over its first frame, with an arrow to the right-hand side of each line."""
    from edge_hoi.config import load_config
    from edge_hoi.media import draw_shapes, write_image
    from edge_hoi.overwriting import refuse_overwriting
    from edge_hoi.pipeline.source_names import name_sources

    settings = load_config(config)
    names = name_sources([(source.id, source.url) for source in settings.sources], print_note)
    sources = dict(zip(names, settings.sources, strict=True))
    if camera is None and len(sources) == 1:
        camera = names[0]
    if camera not in sources:
        known = f"its sources are {', '.join(names)}" if names else "it has no sources"
        raise ConfigError(f"{config}: there is no source {camera!r}; {known}" if camera else f"{config}: {known}; choose one with --camera")
    source = sources[camera]
    if not (source.zones or source.lines):
        raise ConfigError(f"{config}: source {camera} has neither `zones` nor `lines`; docs/zones-and-rules.md shows how to write them")
    refuse_overwriting([("--output", output)], [("the configuration", config), ("the source", Path(source.url))])
    frame = _first_frame(source, camera)
    write_image(output, draw_shapes(frame.image, source.zones, source.lines))
    out.print(
        f"{output}: {len(source.zones)} zones and {len(source.lines)} lines of {camera}, {frame.width}x{frame.height}", soft_wrap=True
    )


def _first_frame(source: "SourceConfig", camera: str) -> "Frame":
    from edge_hoi.errors import SourceError
    from edge_hoi.pipeline.build import make_reader

    reader, _ = make_reader(source, camera)
    with reader:
        frame = reader.mailbox.get(source.open_timeout_seconds + source.read_timeout_seconds)
        error = reader.error
    if frame is None:
        raise error or SourceError(f"{camera}: sent no frame in time; check its address.", code="timeout", is_retryable=True)
    return frame
