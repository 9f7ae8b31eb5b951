"""`edge-hoi sources`: find cameras and the addresses of their streams."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, count, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote, urlsplit

import typer
from rich.table import Table

from edge_hoi.cli.sources import read_sources
from edge_hoi.cli.terminal import out, print_error, print_note, print_result
from edge_hoi.environment import insert_variables, read_secret
from edge_hoi.errors import ConfigError, SourceError
from edge_hoi.masking import mask_url, remember

if TYPE_CHECKING:
    from edge_hoi.ingest.onvif import Credentials, Device, Stream

app = typer.Typer(no_args_is_help=True, help="Find cameras.")

_DEVICE_SECONDS = 15.0
_AT_ONCE = 16
_PLACE = "--username and --password-file or CAMERA_PASSWORD"
_VARIABLE = "${CAMERA_PASSWORD}"
_LEAST_LENGTH = 4  # of a password that is looked for in addresses


@app.callback()
def _group() -> None:
    """Keep `discover` a subcommand."""


@app.command("discover")
def discover(
    devices: Annotated[
        list[str] | None,
        typer.Argument(help="Ask these instead of searching: HOST, HOST:PORT, or the address of a device service.", metavar="[DEVICE]..."),
    ] = None,
    username: Annotated[
        str | None, typer.Option("--username", help="User of the cameras; the password is that of the file, or of CAMERA_PASSWORD.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option("--password-file", help="File with the password.")] = None,
    form: Annotated[Literal["table", "yaml"], typer.Option("--format", help="yaml: `sources` of a configuration.")] = "table",
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=60, help="How long to wait for answers to the search.")] = 3.0,
    ca_file: Annotated[Path | None, typer.Option("--ca-file", help="Authorities (PEM) of devices with https.")] = None,
) -> None:
    """Find ONVIF cameras of the local networks, and list their streams.

    The password is sent as a digest only, and to the address that answered only. Passwords are not printed.

        edge-hoi sources discover --username viewer --password-file /run/secrets/camera --format yaml
    """
    from edge_hoi.ingest import onvif

    credentials = _credentials(username, password_file)
    found = [onvif.Device(url, "") for url in _service_urls(devices)] if devices else onvif.discover(seconds)
    if not found:
        fix = "see that they are in the same network and have ONVIF switched on, or name their hosts"
        raise SourceError(f"No ONVIF camera answered within {seconds:g} s; {fix}.", code="not_found", is_retryable=True)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(partial(_ask, credentials=credentials, ca_file=ca_file), found))
    cameras = [(device, answer) for device, answer in zip(found, answers, strict=True) if isinstance(answer, list)]
    if form == "yaml":
        for line in _yaml_lines(cameras, credentials, password_file):
            print_result(line)
    elif cameras:
        out.print(_table(cameras))
    for device, answer in zip(found, answers, strict=True):
        if isinstance(answer, SourceError):
            print_error(f"{device.name}: {answer}" if device.name else str(answer))
        elif not answer:
            print_note(f"{device.service_url}: it has no stream of video")
    if not any(streams for _, streams in cameras):
        raise typer.Exit(SourceError.exit_code)


def _ask(device: "Device", credentials: "Credentials | None", ca_file: Path | None) -> "list[Stream] | SourceError":
    from edge_hoi.ingest.onvif import stream_addresses

    authorities = None if ca_file is None else str(ca_file)
    try:
        return stream_addresses(device.service_url, credentials, seconds=_DEVICE_SECONDS, password_place=_PLACE, ca_file=authorities)
    except SourceError as error:
        return error


def _credentials(username: str | None, password_file: Path | None) -> "Credentials | None":
    from edge_hoi.ingest.onvif import Credentials

    if username is None:
        if password_file is not None:
            raise ConfigError("--password-file is the password of a user; name the user with --username.")
        return None
    if password_file is None:
        return Credentials(username, str(insert_variables(_VARIABLE, "--username")))
    try:
        password = read_secret(password_file)
    except OSError as error:
        raise ConfigError(f"--password-file {password_file} cannot be read ({error.strerror})") from error
    remember(password)
    return Credentials(username, password)


def _service_urls(devices: Sequence[str]) -> Iterator[str]:
    for device in read_sources(list(devices)):
        url = device if "://" in device else f"http://{device}/onvif/device_service"
        try:
            parts = urlsplit(url)
            is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        except ValueError:
            is_valid = False
        if not is_valid:
            raise ConfigError(f"{mask_url(device)} is no device: write HOST, HOST:PORT, or http://HOST/PATH, and the user as --username")
        yield url


def _table(cameras: "Sequence[tuple[Device, list[Stream]]]") -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("camera", "device", "channel", "size", "codec"):
        table.add_column(column)
    table.add_column("stream", overflow="fold")
    for device, streams in cameras:
        for stream in streams:
            size = f"{stream.width}x{stream.height}" if stream.width else "-"
            host = urlsplit(device.service_url).netloc
            table.add_row(device.name or "-", host, str(stream.channel), size, stream.codec or "-", mask_url(stream.url))
    return table


def _yaml_lines(
    cameras: "Sequence[tuple[Device, list[Stream]]]", credentials: "Credentials | None", password_file: Path | None
) -> Iterator[str]:
    """Write the section `sources`: of each channel its largest stream, the others as comments."""
    import yaml

    user: dict[str, str] = {}
    if credentials is not None:
        place = {"password": _VARIABLE} if password_file is None else {"password_file": str(password_file.absolute())}
        user = {"username": credentials.username, **place}
    names = Counter(device.name for device, _ in cameras)
    taken: set[str] = set()
    yield "sources:" if any(streams for _, streams in cameras) else "sources: []"
    for device, streams in cameras:
        for channel, group in groupby(streams, lambda stream: stream.channel):
            main, *others = [(stream, _without_password(stream.url, credentials)) for stream in group]
            host = urlsplit(device.service_url).hostname or ""
            parts = [device.name[:30], "" if names[device.name] == 1 and device.name else host]
            name = _identifier([*parts, str(channel) if streams[-1].channel > 1 else ""], taken)
            document = yaml.safe_dump([{"id": name, "url": main[1], **user}], sort_keys=False, width=10_000)
            yield from document.splitlines()
            for stream, url in others:
                yield f"  # {stream.width}x{stream.height} {stream.codec}: {url}"


def _without_password(url: str, credentials: "Credentials | None") -> str:
    """Replace the password in an address, where some cameras repeat it, by the variable."""
    password = "" if credentials is None else credentials.password
    if len(password) >= _LEAST_LENGTH:
        for text in (password, quote(password), quote(password, safe=""), password.replace("@", "%40")):
            url = url.replace(text, _VARIABLE)
    return url


def _identifier(parts: Sequence[str], taken: set[str]) -> str:
    """Make an id, numbered where it is taken."""
    base = re.sub(r"[^A-Za-z0-9.]+", "-", " ".join(parts)).strip("-.").lower()[:60] or "camera"
    name = next(filter(lambda each: each not in taken, chain([base], (f"{base}-{number}" for number in count(2)))))
    taken.add(name)
    return name
