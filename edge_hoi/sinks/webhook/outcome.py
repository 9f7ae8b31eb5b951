"""What a webhook's answer means for the events that were sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from edge_hoi.compat import UTC
from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks.connection_failure import origin

LONGEST_RETRY_AFTER = timedelta(hours=1)
"""Nobody is left alone for longer, whatever he asks for: most often it is a clock that is wrong."""

_TRY_AGAIN = {408, 429}
_CREDENTIALS = {401, 403, 407}


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


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
