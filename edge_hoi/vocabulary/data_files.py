"""Read untrusted YAML: text, lists and mappings only, bounded in size and depth, no aliases and no tags."""

from functools import cache
from importlib import resources
from typing import Any

import yaml

from edge_hoi.errors import VocabularyError

MAX_BYTES = 1 << 18
_MAX_DEPTH = 8
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML without libyaml has only the slower one


def parse_yaml(content: bytes, *, name: str) -> object:
    """Parse YAML into nested lists, dicts and strings, None for an empty file. All scalars stay text, also `on`, `5` and `2024-01-01`.

    Raises:
        VocabularyError: It is not YAML, too large, too deep, repeats a key, or uses aliases (which can expand a small file to any size).
            Messages contain `name`.
    """
    if len(content) > MAX_BYTES:
        raise VocabularyError(f"{name}: a vocabulary has at most {MAX_BYTES} bytes, this file has more; is it the right file?")
    try:
        return _build(content.decode(), name)
    except UnicodeDecodeError as error:
        raise VocabularyError(f"{name}: not text in UTF-8 (byte {error.start}); save it as UTF-8 YAML") from error
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        where = f"{name}{_line(getattr(error, 'problem_mark', None))}"
        raise VocabularyError(f"{where}: not YAML ({problem}); write a list of lines like `- person riding bicycle`") from error


def _build(text: str, name: str) -> object:
    """Build the document from the parser's events; unlike PyYAML's constructors this neither recurses nor evaluates tags."""
    root: object = None
    open_collections: list[tuple[yaml.Event, list[object]]] = []
    for event in yaml.parse(text, Loader=_LOADER):
        where = f"{name}{_line(event.start_mark)}"
        if isinstance(event, yaml.AliasEvent) or len(open_collections) > _MAX_DEPTH:
            raise VocabularyError(f"{where}: aliases (*name) and deep nesting are not allowed; write the entry out")
        if isinstance(event, yaml.CollectionStartEvent):
            open_collections.append((event, []))
            continue
        if isinstance(event, yaml.ScalarEvent):
            done: object = event.value
        elif isinstance(event, yaml.CollectionEndEvent):
            start, items = open_collections.pop()
            done = _mapping(items, where) if isinstance(start, yaml.MappingStartEvent) else items
        else:
            continue
        if open_collections:
            open_collections[-1][1].append(done)
        elif root is None:
            root = done
        else:
            raise VocabularyError(f"{where}: a second YAML document begins; keep one per file")
    return root


def _mapping(items: list[object], where: str) -> dict[str, object]:
    mapping: dict[str, object] = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str) or key in mapping:
            raise VocabularyError(f"{where}: expected keys that are text and differ, got {str(key)[:60]!r}; rename or remove it")
        mapping[key] = value
    return mapping


def _line(mark: object) -> str:
    line = getattr(mark, "line", None)
    return "" if line is None else f", line {line + 1}"


@cache
def read_data(name: str) -> dict[str, Any]:
    """Read one of the package's own data files, by its name without `.yaml`."""
    data = parse_yaml((resources.files("edge_hoi.vocabulary") / "data" / f"{name}.yaml").read_bytes(), name=name)
    assert isinstance(data, dict)
    return data
