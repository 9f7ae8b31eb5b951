"""Values of a configuration that stand in the environment or in files, such as passwords."""

import errno
import os
import re
from pathlib import Path
from typing import Any

from edge_hoi.errors import ConfigError
from edge_hoi.masking import names_secret, remember
from edge_hoi.regular_file import read_regular

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_BEYOND_HOST = re.compile(r"://[^/?#]*[/?#]")
_MAX_SECRET_BYTES = 65_536


def insert_variables(value: Any, origin: object) -> Any:  # noqa: ANN401 -- any YAML value
    """Replace `${NAME}` in all texts of a value.

    It is the environment variable NAME, or where there is none, the text of the file that the variable NAME_FILE names, without its last
    newline: containers and systemd hand over secrets as files. What may be a secret is masked in all messages from then on.

    Args:
        value: A value of a configuration; mappings and lists are searched.
        origin: Where it stands, for messages.

    Raises:
        ConfigError: A variable is not set, or its file cannot be read.
    """
    if isinstance(value, dict):
        return {key: insert_variables(item, origin) for key, item in value.items()}
    if isinstance(value, list):
        return [insert_variables(item, origin) for item in value]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        name, text = match[1], _read(match[1], origin)
        if names_secret(name) or _BEYOND_HOST.search(value[: match.start()]):
            remember(text)
        return text

    return _VARIABLE.sub(look_up, value)


def _read(name: str, origin: object) -> str:
    if name in os.environ:
        return os.environ[name]
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        raise ConfigError(
            f"{origin}: ${{{name}}} is used, but no environment variable {name} is set; `export {name}=...` first, or set {name}_FILE to "
            "a file with it"
        )
    try:
        return read_secret(Path(path))
    except OSError as error:
        raise ConfigError(f"{origin}: {name}_FILE is {path}, which cannot be read ({error.strerror})") from error


def read_secret(path: Path) -> str:
    """Read a file with a password or a token, without its last newline.

    Raises:
        OSError: It cannot be read, is no regular file, larger than 64 KiB, or not UTF-8 (`EILSEQ`).
    """
    try:
        return read_regular(path, _MAX_SECRET_BYTES).decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise OSError(errno.EILSEQ, "not UTF-8") from None
