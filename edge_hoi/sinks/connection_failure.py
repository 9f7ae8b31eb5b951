"""Classify why a sink's server could not be reached, or does not answer."""

import socket
import ssl
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from edge_hoi.errors import SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.masking import mask

_MAX_EXCERPT_LENGTH = 200
_CLIENT_CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "HANDSHAKE_FAILURE")


def origin(url: str) -> str:
    """Return the part of a URL that may be shown: scheme, host and port. The path of a webhook often is a secret.

    Raises:
        ValueError: The URL is malformed.
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def connection_failure(error: BaseException, server: str) -> SinkError:
    """Convert an exception, or its cause, to a sink's error; `server` is the server's name, without secrets."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SinkFaultError(
                f"the certificate of {server} is not trusted ({cause.verify_message}); set its authority as `ca_file` under tls, use the "
                "host name in the certificate, or correct this machine's clock"
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return SinkFaultError(f"{server}: TLS failed ({cause.reason}); {_tls_hint(cause.reason or '')}")
        if isinstance(cause, socket.gaierror):
            return SinkUnavailableError(f"{server}: unknown host name ({cause.strerror}); check it, and this machine's DNS")
    if any("Timeout" in type(cause).__name__ for cause in _causes(error)):
        return SinkUnavailableError(f"{server} did not answer in time; check that it is up, and the sink's timeouts")
    system = next((cause.strerror or str(cause) for cause in reversed(list(_causes(error))) if isinstance(cause, OSError)), None)
    return SinkUnavailableError(
        f"{server}: the connection failed ({system or type(error).__name__}); check that a server runs there, and the TLS setting"
    )


def excerpt(text: str, secrets: Iterable[str]) -> str:
    """Return the start of a server's text as one line, secrets masked."""
    shown = "".join(character if character.isprintable() else " " for character in mask(text, secrets))
    line = " ".join(shown.split())
    return line if len(line) <= _MAX_EXCERPT_LENGTH else f"{line[:_MAX_EXCERPT_LENGTH]}..."


def _tls_hint(reason: str) -> str:
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return "the server does not use TLS on this port; is it a port without TLS, such as http://?"
    if any(alert in reason for alert in _CLIENT_CERTIFICATE_ALERTS):
        return "the server requires a client certificate that it trusts; set `certificate_file` under tls"
    return "compare the TLS versions and the certificates of both sides"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the root cause last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
