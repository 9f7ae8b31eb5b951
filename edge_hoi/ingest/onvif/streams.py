"""The addresses of a device's streams, by the services Device and Media (ONVIF, ver10)."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from edge_hoi.compat import UTC
from edge_hoi.errors import SourceError
from edge_hoi.ingest.onvif.soap import Credentials, SoapClient
from edge_hoi.ingest.onvif.xml import text_of
from edge_hoi.masking import get_logger, mask_url

_logger = get_logger(__name__)

_MAX_PROFILES = 64
_ADDRESS = re.compile(r"[!-~]{1,2000}")
_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https"})
_DEVICE, _MEDIA, _SCHEMA = (f"http://www.onvif.org/ver10/{name}" for name in ("device/wsdl", "media/wsdl", "schema"))
_SETUP = "<m:StreamSetup><t:Stream>RTP-Unicast</t:Stream><t:Transport><t:Protocol>RTSP</t:Protocol></t:Transport></m:StreamSetup>"


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of a device.

    Attributes:
        url: Its address, without user and password; what else is in it may be a secret.
        width: Width in pixels, 0 if unknown.
        height: Height in pixels, 0 if unknown.
        codec: Such as `H264`; empty if unknown.
        channel: Number of the device's video source, from 1: a recorder has several.
    """

    url: str
    width: int
    height: int
    codec: str
    channel: int

    def __repr__(self) -> str:
        return f"Stream({mask_url(self.url)}, {self.width}x{self.height}, {self.codec}, channel {self.channel})"


def stream_addresses(
    service_url: str, credentials: Credentials | None, *, seconds: float, password_place: str | None = None, ca_file: str | None = None
) -> list[Stream]:
    """Ask a device for its streams, by channel and from the largest to the smallest. Those whose address it does not tell are left out.

    Args:
        service_url: Its device service.
        credentials: Its user; None for none.
        seconds: Longest time for all requests together.
        password_place: What names the user, for messages.
        ca_file: Certificates (PEM) of authorities that are trusted instead of the system's.

    Raises:
        SourceError: It cannot be reached, refuses the user, does not answer as ONVIF says, or tells no address of its own.
        ConfigError: `ca_file` cannot be read.
    """
    client = SoapClient(service_url, credentials, password_place=password_place, ca_file=ca_file)
    client.access.deadline.restart(seconds)
    with suppress(SourceError, ValueError):  # many devices do not know the time, and some do not tell it
        client.set_clock(_clock(client.call(service_url, f'<d:GetSystemDateAndTime xmlns:d="{_DEVICE}"/>', has_user=False)))
    request = f'<d:GetCapabilities xmlns:d="{_DEVICE}"><d:Category>Media</d:Category></d:GetCapabilities>'
    media = text_of(client.call(service_url, request), "Media", "XAddr")
    if not media:
        raise client.access.refusal("it names no media service")
    profiles = list(client.call(media, f'<m:GetProfiles xmlns:m="{_MEDIA}"/>').iter("Profiles"))[:_MAX_PROFILES]
    sources = [text_of(profile, "VideoSourceConfiguration", "SourceToken") for profile in profiles]
    channels = {source: number for number, source in enumerate(dict.fromkeys(filter(None, sources)), 1)}
    streams: dict[str, Stream] = {}
    refusal: SourceError | None = None
    for profile, source in zip(profiles, sources, strict=True):
        if source:
            try:
                stream = _stream(client, media, profile, channels[source])
            except SourceError as error:
                if error.code != "refused":
                    raise
                refusal = error
                _logger.warning("one of its streams is left out: %s", error)
            else:
                streams.setdefault(stream.url, stream)
    if refusal is not None and not streams:
        raise refusal
    return sorted(streams.values(), key=lambda stream: (stream.channel, -stream.width * stream.height))


def _stream(client: SoapClient, media: str, profile: Element, channel: int) -> Stream:
    token = escape(profile.get("token", ""))
    request = f'<m:GetStreamUri xmlns:m="{_MEDIA}" xmlns:t="{_SCHEMA}">{_SETUP}<m:ProfileToken>{token}</m:ProfileToken></m:GetStreamUri>'
    url = _address(client, text_of(client.call(media, request), "Uri"), urlsplit(media).hostname)
    encoder = next(profile.iter("VideoEncoderConfiguration"), None)
    width, height = (_number(text_of(encoder, "Resolution", side)) for side in ("Width", "Height"))
    codec = re.sub(r"\W", "", text_of(encoder, "Encoding"))[:16]
    return Stream(url, width, height, codec, channel)


def _address(client: SoapClient, url: str, host: str | None) -> str:
    """Check the address of a stream, which becomes part of a configuration, and leave out its user."""
    try:
        parts = urlsplit(url)
        is_own = parts.hostname == host and (parts.port is None or parts.port > 0) and parts.scheme in _SCHEMES
    except ValueError:
        is_own = False
    if not is_own or not _ADDRESS.fullmatch(url):
        raise client.access.refusal(f"it names {mask_url(url)[:200]!r} as the address of a stream, which is none of its own")
    own = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    # In a configuration, `${NAME}` is a variable, whose value the device would get, and `@` ends a user.
    return own.replace("$", "%24").replace("@", "%40")


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"\d{1,5}", text, re.ASCII) else 0


def _clock(answer: Element) -> datetime:
    """Read the device's UTC time; raise `ValueError` if it tells none."""
    utc = next(answer.iter("UTCDateTime"), None)
    year, month, day = (_number(text_of(utc, "Date", part)) for part in ("Year", "Month", "Day"))
    hour, minute, second = (_number(text_of(utc, "Time", part)) for part in ("Hour", "Minute", "Second"))
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
