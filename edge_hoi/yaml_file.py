"""Read configurations in YAML: bounded in size also after aliases are expanded, and in errors that quote no values."""

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from edge_hoi.errors import ConfigError
from edge_hoi.regular_file import read_regular

MAX_VALUES = 100_000
_QUOTED = re.compile(r"'[^'<\s][^'\s]+'")
"""What PyYAML quotes of a file, such as a password that begins with `*` or `!`; neither single characters nor kinds of its own."""


def read_yaml(path: Path, max_bytes: int, max_values: int = MAX_VALUES) -> Any:  # noqa: ANN401 -- any YAML value
    """Read a YAML file.

    Args:
        path: A regular file in UTF-8.
        max_bytes: Most bytes that it may have.
        max_values: Most values, with those that its aliases repeat.

    Returns:
        Mappings, lists, texts, numbers, booleans and dates; None for an empty file.

    Raises:
        ConfigError: It cannot be read, is larger, not YAML, has tags of other types, a key twice, or too many values. No other error is
            behind it, because PyYAML's quote the file.
    """
    try:
        loader = _Loader(read_regular(path, max_bytes).decode())
        loader.max_values = max_values
        return loader.get_single_data()
    except ConfigError as error:
        fault = str(error)
    except OSError as error:
        fault = f"cannot be read ({error.strerror}); is it the right file? There are examples in configs/"
    except UnicodeDecodeError as error:
        fault = f"is not YAML: byte {error.start} is not UTF-8; save it as UTF-8"
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        problem = _QUOTED.sub("'***'", error.problem or "a value is incomplete")
        fault = f"is not YAML{line}: {problem}; put a text with special characters in quotes"
    except (yaml.YAMLError, RecursionError) as error:
        fault = f"is not YAML: {'nested too deep' if isinstance(error, RecursionError) else ' '.join(str(error).split())}"
    raise ConfigError(f"{path}: {fault}")


def line_of(path: Path, max_bytes: int, location: Iterable[int | str]) -> int | None:
    """Find the line of a value, or of the innermost mapping or list around it that the file has.

    Args:
        path: The file, as of `read_yaml`.
        max_bytes: Most bytes that it may have.
        location: Keys and indices, from the outermost on.

    Returns:
        The line, from 1; None where the file cannot be read again.
    """
    try:
        node = _compose(read_regular(path, max_bytes))
    except (ConfigError, OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
    line = None
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if getattr(key, "value", None) == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part], node.value[part]
        else:
            found = None
        if found is None:
            break
        line, node = _line(found[0]), found[1]
    return line


@lru_cache(maxsize=1)
def _compose(content: bytes) -> yaml.Node | None:
    """Compose once for all errors of a file."""
    node: yaml.Node | None = yaml.compose(content.decode(), _Loader)
    return node


class _Loader(yaml.SafeLoader):
    """Builds plain values only, and refuses keys that stand twice and aliases without an end.

    Errors name lines and contain no values, which may be secrets.
    """

    max_values = MAX_VALUES

    def get_single_data(self) -> Any:  # noqa: ANN401 -- any YAML value
        """Read the document, of at most `max_values` values with those that its aliases repeat."""
        node = self.get_single_node()
        if node is None:
            return None
        _count_values(node, {}, self.max_values)
        return self.construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 -- any YAML value
        """Build a value; YAML takes 2026-13-01 for a date."""
        with suppress(ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return super().construct_object(node, deep)
        raise ConfigError(f"the value in line {_line(node)} is not of the type that its form or tag says; put a text in quotes")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Check that the keys of a mapping differ, of which YAML would silently take the last, and build it."""
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = getattr(key_node, "value", None)
            if not isinstance(key, str):
                continue
            if key in lines:
                raise ConfigError(f"the key {key!r} stands in lines {lines[key]} and {_line(key_node)}; keep one")
            lines[key] = _line(key_node)
        return super().construct_mapping(node, deep)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _count_values(node: yaml.Node, counted: dict[yaml.Node, int], most: int) -> int:
    """Count the values of a node, each as often as aliases repeat it: nine aliases in each of nine lines are a billion.

    Args:
        node: The node.
        counted: Counts of the nodes seen so far, 0 for those that `node` is within; extended in place.
        most: How many values it may have.
    """
    if node not in counted:
        counted[node] = 0
        children = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        counted[node] = 1 + sum(_count_values(child, counted, most) for child in children if isinstance(child, yaml.Node))
    if not counted[node]:
        raise ConfigError(f"the value in line {_line(node)} contains itself by an alias (*name); write it out")
    if counted[node] > most:
        raise ConfigError(f"the value in line {_line(node)} has more than {most} values, with those that aliases (*name) repeat")
    return counted[node]
