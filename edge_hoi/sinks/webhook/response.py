"""What a webhook's response means for the events that were sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from edge_hoi.compat import UTC
from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks.connection_failure import origin

MAX_RETRY_AFTER = timedelta(hours=1)
"""A longer `Retry-After` is shortened: usually the server's clock is wrong."""

_TEMPORARY = {408, 429}
_CREDENTIALS = {401, 403, 407}


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response: its status code, its headers by lower-case name, and the start of its body, secrets masked."""

    status: int
    headers: Mapping[str, str]
    text: str = ""


def failure_of(response: Response, url: str) -> SinkError | None:
    """Convert the response of a URL to a sink's error; None if the events were accepted (2xx)."""
    status = response.status
    if 200 <= status < 300:
        return None
    text = f"{origin(url)} answers {status} {_phrase(status)}".rstrip() + (f" ({response.text})" if response.text else "")
    if 300 <= status < 400:
        return SinkFaultError(f"{text}{_redirect(response, url)}")
    if status in _CREDENTIALS:
        return SinkFaultError(f"{text}; check bearer_token, basic, headers, signing_secret and the client certificate under tls")
    if status in _TEMPORARY or 500 <= status < 600:
        return SinkUnavailableError(text)
    if 400 <= status < 500:
        return EventRefusedError(f"{text}; check url and content_mode, and what the server accepts")
    return SinkFaultError(f"{text}, which is not a valid response to a POST; is there a web server at this url?")


def retry_after(response: Response, now: datetime) -> timedelta:
    """Parse `Retry-After` (RFC 9110, section 10.2.3): zero where it is absent or invalid, at most `MAX_RETRY_AFTER`; `now` in UTC."""
    text = response.headers.get("retry-after", "").strip()
    try:
        wait = timedelta(seconds=int(text)) if text.isdecimal() else parsedate_to_datetime(text).astimezone(UTC) - now
    except (ValueError, OverflowError):
        wait = MAX_RETRY_AFTER if text.isdecimal() else timedelta()
    return max(timedelta(), min(wait, MAX_RETRY_AFTER))


def _redirect(response: Response, url: str) -> str:
    """Describe where a redirect points, without parts of the address that may be secret."""
    try:
        target = urlsplit(urljoin(url, response.headers.get("location", "")))
        place = origin(target.geturl())
    except ValueError:
        return ", a redirect to an invalid address; ask the server's operator"
    path = urlsplit(url).path
    if target.path == path:
        same = "the same path"
    elif target.path.rstrip("/") == path.rstrip("/"):
        same = f"the same path {'with' if target.path.endswith('/') else 'without'} / at its end"
    else:
        same = "another path, which `curl -i` shows"
    return f" and redirects to {place}, {same}; redirects are not followed, so set that address as the url"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
