"""Replace secrets by `***` in every text that leaves the program: messages, logs, statuses, tracebacks.

`mask_url` is for the address of a source; `mask` is for all other text, such as what a server answers.
"""

import json
import logging
import os
import re
import traceback
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote, unquote

MASK = "***"

_SECRET_NAME = re.compile(r"token|pas|pwd|psw|(?<![A-Za-z])pw|secret|key|auth|sig|credential", re.IGNORECASE)
_MIN_LENGTH = 4
"""Shorter secrets occur in any text; replacing them would make it unreadable."""
_WORDS = re.compile(r"[a-z_-]{,11}|\d{,7}")
"""Secrets that are not remembered, because they occur in ordinary text."""
_MAX_REMEMBERED = 10_000

_remembered: dict[str, None] = {}
"""In order of appearance. It belongs to the process, as its log and its terminal do."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)([^\s\"'<>`]*[^\s\"'<>`:;,.)\]])")
_WITHOUT_SCHEME = re.compile(r"(?:^|(?<=/))(?:[^/:@]*:.*@.*|[^/:]+@[\w.-]+(?::\d{1,5})?/.*)")
_NAMED_PASSWORD = re.compile(r"(?:pass(?:word|wd)?|psw|pwd)=", re.IGNORECASE)
_BARE_PARAMETER = re.compile(r"(?<![^?&;/])([\w.-]{1,40})=([^?&;#]+)")
_USER_NAMES = frozenset({"usr", "user", "username", "login"})
_PLACEHOLDER = re.compile(r"\$\{\w+\}")
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.%]+\])(?::\d{1,5})?")
_PARAMETER = re.compile(r"([?&;#](?:[\w.-]{1,40}=)?)[^&;#]+")
_PARAMETER_BUT_FRAGMENT = re.compile(r"([?&;](?:[\w.-]{1,40}=)?|#[\w.-]{1,40}=)[^&;#]+")
_WORDS_OF_CAMERAS = """
    h264 h265 hevc mpeg4 mpeg mjpeg mjpg jpeg jpg mp4 m3u8 hls flv sdp ts rtsp rtp tcp udp av live streaming streams stream channels
    channel ch cameras camera cam videos video media images image img snapshot snap picture main sub preview primary secondary low high
    hd sd axis cgi bin amp onvif profiles profile realmonitor unicast multicast track playlist index master nvr dvr mobile monitoring
    isapi viewer view feed test default api web device service
"""
_WORD_OF_CAMERAS = "|".join(_WORDS_OF_CAMERAS.split())
_NO_SECRET_PART = re.compile(rf"(?:(?:{_WORD_OF_CAMERAS})(?:[_.-]?\d{{1,3}}(?:_\d{{1,3}})?)?[_.-]?){{1,5}}|\d{{,3}}", re.IGNORECASE)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace the given and the remembered secrets, and in URLs the user information and the values of the query.

    Secrets of four characters or more are replaced, also percent-encoded, decoded, or escaped as in JSON.
    """
    text = _URL.sub(lambda match: match[1] + _mask_address(match[2], hides_path=False), text)
    forms = {form for secret in secrets for form in _forms(secret)} | _remembered.keys()
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def get_logger(name: str) -> logging.Logger:
    """Return a logger of this package, which masks what it writes, for handlers of any program."""
    logger = logging.getLogger(name)
    logger.addFilter(mask_record)
    return logger


def mask_record(record: logging.LogRecord) -> bool:
    """Filter a logger's records, all of them pass: format message, traceback and stack now, with secrets masked.

    The exception is left out, because a handler that formats it again would show them.
    """
    try:
        message = record.getMessage()
    except Exception as error:  # which a handler would report, and not raise
        message = f"a message cannot be formatted: {record.msg!r} ({error})"
    record.msg, record.args = mask(message), None
    if record.exc_info:
        record.exc_text = mask("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        record.exc_info = None
    if record.stack_info:
        record.stack_info = mask(record.stack_info)
    return True


def mask_url(url: str) -> str:
    """Replace all of a source's address that may be a secret; paths of this machine stay as they are.

    Shown are user name, host, port, the names of parameters, and the parts of the path that consist of words such as `stream`, as the
    makers of cameras use them, and short numbers: some cameras and services have the password or a token in the path.

    User information is assumed to end at the last `@` before the query, not before the first `/`: people paste passwords with unquoted
    `@`, `/` and `%`, and masking too much of an address is better than showing a password.
    """
    scheme, separator, rest = url.partition("://")
    if separator:
        return url if scheme.lower() == "file" else f"{scheme}://{_mask_address(rest)}"
    if (match := _address_without_scheme(url)) is not None:
        return url[: match.start()] + _mask_address(match.group())
    return _BARE_PARAMETER.sub(rf"\1={MASK}", url) if _has_bare_secret(url) else url


def secrets_of_url(url: str) -> list[str]:
    """List the parts of an address that `mask_url` replaces, and user and password as they are sent."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        match = _address_without_scheme(url)
        if match is not None:
            return _secrets_of_address(match.group())
        return [value for _, value in _BARE_PARAMETER.findall(url)] if _has_bare_secret(url) else []
    return [] if scheme.lower() == "file" else _secrets_of_address(rest)


def holds_password(url: str) -> bool:
    """Whether an address has user information, or a parameter named like a secret, other than as `${NAME}`."""
    address = _PLACEHOLDER.sub("", url).partition("://")[2]
    parts = _split(address)
    if parts is None:
        return True
    name, colon, password = parts[0].partition(":")
    return bool(password or (name and not colon)) or any(names_secret(key) for key, _ in re.findall(r"([\w.-]+)=([^&;#]+)", parts[3]))


def remember(secret: str) -> None:
    """Make `mask` replace a password, a token, the value of a header, or the parts of an address that `mask_url` replaces, from now on.

    Words of lower-case letters and short numbers are not remembered: they would be replaced in ordinary text.
    """
    for part in secrets_of_url(secret) if "://" in secret else (secret, secret.rpartition(" ")[2], *secrets_of_url(secret)):
        if not _WORDS.fullmatch(part):
            _remembered.update(dict.fromkeys(_forms(part)))
    for oldest in list(_remembered)[:-_MAX_REMEMBERED]:
        del _remembered[oldest]


def names_secret(name: str) -> bool:
    """Whether a variable or parameter of this name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def _forms(secret: str) -> set[str]:
    forms = {secret, unquote(secret), quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1]}
    return {form for form in forms if len(form) >= _MIN_LENGTH}


def _address_without_scheme(path: str) -> re.Match[str] | None:
    """Find `user:password@host` or `token@host/` in what is no file; the folder of the configuration may stand before it."""
    return None if "@" not in path or os.path.exists(path) else _WITHOUT_SCHEME.search(path)  # noqa: PTH110 -- False for what cannot be a path


def _has_bare_secret(path: str) -> bool:
    """Whether what is no file has a parameter named like a secret, as an address does whose scheme is forgotten."""
    names = [name for name, _ in _BARE_PARAMETER.findall(path)] if set(path) & {"?", "&"} else []
    has_secret = _NAMED_PASSWORD.search(path) or any(names_secret(name) or name.lower() in _USER_NAMES for name in names)
    return bool(has_secret) and not os.path.exists(path)  # noqa: PTH110 -- as above


def _split(address: str) -> tuple[str, str, str, str] | None:
    """Split what follows `://` into user information, host and port, path, and query; None where it is ambiguous."""
    place = re.split("[?#]", address, maxsplit=1)[0]
    query = address[len(place) :]
    if "@" in query:  # of a password with ? or #, or of the query
        return None
    user, _, rest = place.rpartition("@")
    if "/" in user and ":" not in user:  # no user information: the path has an @
        user, rest = "", place
    host, slash, path = rest.partition("/")
    return user, host, slash + path, query


def _mask_address(address: str, *, hides_path: bool = True) -> str:
    parts = _split(address)
    if parts is None:
        return MASK
    user, host, path, query = parts
    if user and not _PLACEHOLDER.search(user):
        name, _, password = user.partition(":")
        user = f"{name}:{MASK}" if password else MASK
    if not _HOST.fullmatch(host):
        host = MASK if hides_path else host
    if hides_path:
        path = "/".join(part if _NO_SECRET_PART.fullmatch(part) else MASK for part in path.split("/"))
    query = (_PARAMETER if hides_path else _PARAMETER_BUT_FRAGMENT).sub(rf"\1{MASK}", query)
    return f"{user}{'@' if user else ''}{host}{path}{query}"


def _secrets_of_address(address: str) -> list[str]:
    parts = _split(address)
    if parts is None:
        return [address, *re.split("[@?&;#/:=]", address)]
    user, host, path, query = parts
    name, _, password = user.partition(":")
    values = [value.rpartition("=")[2] for value in re.split("[?&;#]", query)]
    places = [] if _HOST.fullmatch(host) else [host]
    basic = b64encode(unquote(user).encode()).decode()  # as HTTP and RTSP send it
    return [
        password or name,
        basic,
        *places,
        query[1:],
        *values,
        *(part for part in path.split("/") if not _NO_SECRET_PART.fullmatch(part)),
    ]
