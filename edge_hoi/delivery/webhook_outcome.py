"""What a webhook's answer, or its silence, means for the events that were sent."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError

LONGEST_RETRY_AFTER = timedelta(hours=1)
"""Nobody is left alone for longer, whatever he asks for: most often it is a clock that is wrong."""

_TRY_AGAIN = {408, 429}
_CREDENTIALS = {401, 403, 407}
_CLIENT_CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "HANDSHAKE_FAILURE")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: Its status code.
        headers: Its headers; names are looked up in lower case.
        words: How the server explains itself, secrets masked; may be empty.
    """

    status: int
    headers: Mapping[str, str]
    words: str = ""


def origin(url: str) -> str:
    """Give the part of an address that may be shown: scheme, host and port. The path of a webhook often is its password.

    Args:
        url: An http or https URL.

    Raises:
        ValueError: It is malformed.
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def failure_of_answer(answer: Answer, url: str) -> SinkError | None:
    """Tell what an answer means.

    Args:
        answer: The answer.
        url: Where the request went.

    Returns:
        None where the events were taken (2xx); otherwise what became of them.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    said = f"{origin(url)} answers {status} {_phrase(status)}".rstrip() + (f" ({answer.words})" if answer.words else "")
    if 300 <= status < 400:
        return SinkFaultError(f"{said}{_redirect(answer, url)}")
    if status in _CREDENTIALS:
        return SinkFaultError(f"{said}; check bearer_token, basic, headers, signing_secret and the client certificate under tls")
    if status in _TRY_AGAIN or 500 <= status < 600:
        return SinkUnavailableError(said)
    if 400 <= status < 500:
        return EventRefusedError(f"{said}; check url and content_mode, and what it takes")
    return SinkFaultError(f"{said}, which is no answer to a POST; is there a web server at this url?")


def retry_after(answer: Answer, now: datetime) -> timedelta:
    """Read for how long a server wants to be left alone (RFC 9110, section 10.2.3).

    Args:
        answer: Its answer.
        now: The time, UTC.

    Returns:
        Nothing where it does not say; `LONGEST_RETRY_AFTER` at most.
    """
    text = answer.headers.get("retry-after", "").strip()
    try:
        wait = timedelta(seconds=int(text)) if text.isdecimal() else parsedate_to_datetime(text).astimezone(UTC) - now
    except (ValueError, OverflowError):
        wait = LONGEST_RETRY_AFTER if text.isdecimal() else timedelta()
    return max(timedelta(), min(wait, LONGEST_RETRY_AFTER))


def failure_of_connection(error: BaseException, url: str) -> SinkError:
    """Tell what it means that there was no answer.

    Args:
        error: What was raised; the system's own errors are looked for among its causes.
        url: Where the request was to go.
    """
    place = origin(url)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SinkFaultError(
                f"{place} shows a certificate that is not trusted ({cause.verify_message}); name its authority as `ca_file` under tls, "
                "use the host name that it was made for, or set this machine's clock"
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return SinkFaultError(f"{place}: TLS failed ({cause.reason}); {_mend_tls(cause.reason or '')}")
        if isinstance(cause, socket.gaierror):
            return SinkUnavailableError(f"{place}: its name is not known ({cause.strerror}); check the name in url, and this machine's DNS")
    if any("Timeout" in type(cause).__name__ for cause in _causes(error)):
        return SinkUnavailableError(f"{place} does not answer in time; is it up, and are the timeouts long enough?")
    system = next((cause.strerror or str(cause) for cause in reversed(list(_causes(error))) if isinstance(cause, OSError)), None)
    return SinkUnavailableError(f"{place}: the connection failed ({system or type(error).__name__}); is a server up there?")


def _redirect(answer: Answer, url: str) -> str:
    """Say where a redirect points, without any part of its address that may be secret."""
    try:
        target = urlsplit(urljoin(url, answer.headers.get("location", "")))
        place = origin(target.geturl())
    except ValueError:
        return ", a redirect to no address; ask who runs it"
    path = urlsplit(url).path
    if target.path == path:
        same = "the same path"
    elif target.path.rstrip("/") == path.rstrip("/"):
        same = f"the same path {'with' if target.path.endswith('/') else 'without'} / at its end"
    else:
        same = "another path, which `curl -i` shows"
    return f" and points to {place}, {same}; redirects are not followed, so write that address as the url"


def _mend_tls(reason: str) -> str:
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return "no TLS is spoken there; is it an http:// address?"
    if any(alert in reason for alert in _CLIENT_CERTIFICATE_ALERTS):
        return "it wants a certificate that it trusts; name it as `certificate_file` under tls"
    return "compare the versions of TLS and the certificates of both sides"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what brought it about, the first cause last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
