"""Call the web services of an ONVIF device: SOAP 1.2 over HTTP, with the password as a digest only.

Not zeep's clients, which read answers of any size, follow redirects, and connect to what a device names; docs/dependencies.md says more.
"""

import hashlib
import os
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urljoin
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from edge_hoi.compat import UTC
from edge_hoi.errors import SourceError
from edge_hoi.ingest.http_transport import DigestFirst, Transport
from edge_hoi.ingest.onvif.xml import MAX_BYTES, parse_xml, text_of
from edge_hoi.ingest.remote_access import RemoteAccess

_ENVELOPE = '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">{header}<s:Body>{body}</s:Body></s:Envelope>'
_SECURITY = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd",
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest",
)
_MAX_AHEAD = timedelta(days=36_525)  # a clock that was never set is of 1970 or 2000
_UNAUTHORIZED = ("NotAuthorized", "FailedAuthentication")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user of devices.

    Attributes:
        username: The user.
        password: The password.
    """

    username: str
    password: str = field(repr=False)


class SoapClient:
    """Calls services of one device, on its own host only, without redirects.

    Attributes:
        access: Makes its errors and connections; `access.deadline` ends all waits.
    """

    def __init__(self, url: str, credentials: Credentials | None, *, password_place: str | None, ca_file: str | None) -> None:
        """Take the address of the device service; see `stream_addresses`.

        Raises:
            SourceError: The URL is not valid.
            ConfigError: `ca_file` cannot be read.
        """
        self.access = RemoteAccess(url, ca_file=ca_file, password_place=password_place)
        self._credentials = credentials
        self._ahead = timedelta()  # of the device's clock over this machine's
        self._passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            Transport(self.access),
            DigestFirst(self._passwords),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)

    def set_clock(self, device_time: datetime) -> None:
        """Date digests by the device's clock, which takes those of other times for repeated.

        Raises:
            ValueError: The clock is more than 100 years away.
        """
        ahead = device_time - datetime.now(UTC)
        if abs(ahead) > _MAX_AHEAD:
            raise ValueError("no clock is that wrong")
        self._ahead = ahead

    def call(self, url: str, body: str, *, has_user: bool = True) -> Element:
        """Call a service, and return the body of its answer.

        Args:
            url: The service.
            body: The request, as XML.
            has_user: Whether to name the user, if there is one.

        Raises:
            SourceError: It is of another host, cannot be reached, refuses the user, or does not answer as an ONVIF service.
        """
        self.access.check(url)
        if self._credentials is not None:
            self._passwords.add_password(None, urljoin(url, "/"), self._credentials.username, self._credentials.password)
        envelope = _ENVELOPE.format(header=self._header() if has_user else "", body=body)
        headers = {"Content-Type": "application/soap+xml; charset=utf-8"}
        request = urllib.request.Request(url, envelope.encode(), headers)  # noqa: S310 -- `check` has refused other schemes
        try:
            answer = self._answer(request)
        except SourceError:
            raise
        except urllib.error.URLError as error:
            raise self.access.error_of(error.reason if isinstance(error.reason, Exception) else error) from None
        except Exception as error:  # of HTTP and of sockets, as many as there are
            raise self.access.error_of(error) from None
        if any(text_of(value).endswith(_UNAUTHORIZED) for code in answer.iter("Code") for value in code.iter("Value")):
            raise self.access.status_error(401)
        result = answer.find("Body")
        if result is None or next(result.iter("Fault"), None) is not None:
            raise self.access.refusal("it did not answer as an ONVIF service")
        return result

    def _answer(self, request: urllib.request.Request) -> Element:
        try:
            response = self._opener.open(request)
        except urllib.error.HTTPError as error:
            if error.code not in (400, 500):  # which faults of SOAP have
                error.close()
                raise self.access.status_error(error.code) from None
            response = error
        except ValueError:  # from urllib, of other schemes than Basic and Digest
            raise self.access.status_error(401) from None
        if response is None:
            raise OSError("no handler opened it")
        with closing(response):
            try:
                return parse_xml(response.read(MAX_BYTES + 1))
            except ValueError as error:
                raise self.access.refusal(f"it answered with {error}") from None

    def _header(self) -> str:
        """Name the user by a token with a digest of the password (WS-Security, UsernameToken Profile 1.0)."""
        if self._credentials is None:
            return ""
        extension, utility, kind = _SECURITY
        nonce, created = os.urandom(16), f"{datetime.now(UTC) + self._ahead:%Y-%m-%dT%H:%M:%S.000Z}"
        digest = hashlib.sha1(nonce + created.encode() + self._credentials.password.encode(), usedforsecurity=False).digest()
        return (
            f'<s:Header><w:Security xmlns:w="{extension}" xmlns:u="{utility}"><w:UsernameToken>'
            f"<w:Username>{escape(self._credentials.username)}</w:Username>"
            f'<w:Password Type="{kind}">{b64encode(digest).decode()}</w:Password>'
            f"<w:Nonce>{b64encode(nonce).decode()}</w:Nonce><u:Created>{created}</u:Created></w:UsernameToken></w:Security></s:Header>"
        )
