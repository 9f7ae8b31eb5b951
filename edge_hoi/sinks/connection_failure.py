"""What it means for a sink that its server was not reached, or does not answer."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from edge_hoi.errors import SinkError, SinkFaultError, SinkUnavailableError

_CLIENT_CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "HANDSHAKE_FAILURE")


def origin(url: str) -> str:
    """Give the part of an address that may be shown: scheme, host and port. The path of a webhook often is its password.

    Args:
        url: A URL with a host.

    Raises:
        ValueError: It is malformed.
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def failure_of_connection(error: BaseException, place: str) -> SinkError:
    """Tell what it means that there was no answer.

    Args:
        error: What was raised; the system's own errors are looked for among its causes.
        place: What the server is called, without any secret.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SinkFaultError(
                f"{place} shows a certificate that is not trusted ({cause.verify_message}); name its authority as `ca_file` under tls, "
                "use the host name that it was made for, or set this machine's clock"
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return SinkFaultError(f"{place}: TLS failed ({cause.reason}); {_mend_tls(cause.reason or '')}")
        if isinstance(cause, socket.gaierror):
            return SinkUnavailableError(f"{place}: its name is not known ({cause.strerror}); check it, and this machine's DNS")
    if any("Timeout" in type(cause).__name__ for cause in _causes(error)):
        return SinkUnavailableError(f"{place} does not answer in time; is it up, and is the time long enough?")
    system = next((cause.strerror or str(cause) for cause in reversed(list(_causes(error))) if isinstance(cause, OSError)), None)
    return SinkUnavailableError(
        f"{place}: the connection failed ({system or type(error).__name__}); is a server up there, and is TLS set as it has it?"
    )


def _mend_tls(reason: str) -> str:
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return "no TLS is spoken there; is it an address or a port without TLS, such as http://?"
    if any(alert in reason for alert in _CLIENT_CERTIFICATE_ALERTS):
        return "it wants a certificate that it trusts; name it as `certificate_file` under tls"
    return "compare the versions of TLS and the certificates of both sides"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what brought it about, the first cause last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
