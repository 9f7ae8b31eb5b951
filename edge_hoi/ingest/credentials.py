"""User names and passwords that stand apart from an address."""

from pathlib import Path
from urllib.parse import quote

from edge_hoi.environment import read_secret
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.ingest.url import SourceKind, source_kind
from edge_hoi.masking import remember, secrets_of_url


def with_credentials(url: str, username: str | None, password: str | None, password_file: str | None) -> str:
    """Return a URL with user name and password as it needs them, and have them masked in all messages.

    Args:
        url: The source.
        username: None for none.
        password: None for none.
        password_file: File with the password, instead of it; its last newline is left out.

    Raises:
        SourceError: `unsupported`, the URL is not of a server, or names a user itself; `unauthorized`, the file cannot be read.
    """
    if username is None and password is None and password_file is None:
        return url
    kind = source_kind(url)
    scheme, separator, rest = url.partition("://")
    if not kind.is_network or "@" in rest.partition("/")[0]:
        cause = "a username or a password apart from the URL is for rtsp, rtmp and http addresses without their own"
        raise source_error(url, kind, "unsupported", cause, "write one of them only")
    if password_file is not None:
        password = _text_of(password_file, url, kind)
    url = f"{scheme}{separator}{quote(username or '', safe='')}:{quote(password or '', safe='')}@{rest}"
    for secret in secrets_of_url(url):
        remember(secret)
    return url


def _text_of(path: str, url: str, kind: SourceKind) -> str:
    try:
        return read_secret(Path(path))
    except OSError as error:
        cause = f"its password_file {path} cannot be read ({error.strerror})"
        raise source_error(url, kind, "unauthorized", cause, "check its path and its permissions") from None
