"""Find ONVIF devices of the local networks by WS-Discovery (OASIS, 2005/04; ONVIF Core Specification, section 7)."""

import fcntl
import ipaddress
import re
import socket
import struct
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from edge_hoi.ingest.onvif.xml import parse_xml, text_of

GROUP = ("239.255.255.250", 3702)
_MAX_DATAGRAM_BYTES = 65_535
_MAX_DATAGRAMS = 10_000
_MAX_DEVICES = 1000
_MAX_PER_HOST = 16
_REPEAT_SECONDS = 1.0  # datagrams get lost
_MAX_NAME_LENGTH = 64
_SIOCGIFADDR = 0x8915  # of Linux: the IPv4 address of an interface
_NOT_PRINTABLE = re.compile(r"[^\w .,:()/+-]+")

# Most cameras answer to the first type; some, and recorders, to the second only.
_TYPES = (
    'xmlns:t="http://www.onvif.org/ver10/network/wsdl">t:NetworkVideoTransmitter',
    'xmlns:t="http://www.onvif.org/ver10/device/wsdl">t:Device',
)
_PROBE = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>
<a:MessageID>{message_id}</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>
<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></s:Header>
<s:Body><d:Probe><d:Types {types}</d:Types></d:Probe></s:Body></s:Envelope>"""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that answered.

    Attributes:
        service_url: Its device service, on the address that the answer came from.
        name: Its name and hardware as it says; without unusual characters, possibly empty.
    """

    service_url: str
    name: str


def discover(seconds: float, *, group: tuple[str, int] = GROUP) -> list[Device]:
    """Ask all networks of this machine by multicast, and return the devices that answer, in the order of their addresses.

    An answer may name addresses of other hosts; they are left out, so that no device can direct a password elsewhere.

    Args:
        seconds: How long to wait for answers.
        group: Address and port of the multicast group.
    """
    devices: dict[str, Device] = {}
    hosts: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    next_probe = 0.0
    messages: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        for _ in range(_MAX_DATAGRAMS):
            now = time.monotonic()
            if now >= deadline or len(devices) >= _MAX_DEVICES:
                break
            if now >= next_probe:
                messages |= _probe(channel, group)
                next_probe = now + _REPEAT_SECONDS
            channel.settimeout(min(deadline, next_probe) - now)
            with suppress(TimeoutError, ConnectionError, ValueError):
                data, (host, _) = channel.recvfrom(_MAX_DATAGRAM_BYTES)
                for device in _devices(parse_xml(data), host, messages):
                    if device.service_url not in devices and hosts[host] < _MAX_PER_HOST:
                        devices[device.service_url] = device
                        hosts[host] += 1
    return sorted(devices.values(), key=lambda device: _order(device.service_url))


def _probe(channel: socket.socket, group: tuple[str, int]) -> set[str]:
    """Ask on each interface, and return the ids of the messages."""
    sent = set()
    for types in _TYPES:
        message_id = f"urn:uuid:{uuid.uuid4()}"
        sent.add(message_id)
        data = _PROBE.format(message_id=message_id, types=types).encode()
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has no address, or no multicast
                address = fcntl.ioctl(channel, _SIOCGIFADDR, struct.pack("256s", name.encode()))[20:24]
                channel.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)  # which is also where answers come to
                channel.sendto(data, group)
    return sent


def _devices(answer: Element, host: str, messages: set[str]) -> Iterator[Device]:
    if text_of(answer, "Header", "RelatesTo") not in messages:
        return
    for match in answer.iter("ProbeMatch"):
        for url in text_of(match, "XAddrs").split():
            if _is_of(url, host):
                yield Device(url, _name(text_of(match, "Scopes")))
                break


def _is_of(url: str, host: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url)
        _ = parts.port
        return parts.scheme in ("http", "https") and parts.hostname == host and "@" not in parts.netloc
    return False


def _name(scopes: str) -> str:
    """Make a name of the scopes `onvif://www.onvif.org/name/...` and `/hardware/...`."""
    parts = []
    for kind in ("/name/", "/hardware/"):
        found = next((scope.partition(kind)[2] for scope in scopes.split() if kind in scope), "")
        part = _NOT_PRINTABLE.sub(" ", unquote(found, errors="replace")).strip()[:_MAX_NAME_LENGTH]
        if part and part not in parts:
            parts.append(part)
    return " ".join(parts)


def _order(url: str) -> tuple[ipaddress.IPv4Address, str]:
    return ipaddress.IPv4Address(urlsplit(url).hostname or "0.0.0.0"), url  # noqa: S104 -- only sorted by
