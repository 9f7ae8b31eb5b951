"""Load a vocabulary by name or from a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_hoi.errors import VocabularyError, nearest_name
from edge_hoi.regular_file import read_regular
from edge_hoi.vocabulary.custom import custom_vocabulary, parse_custom
from edge_hoi.vocabulary.data_files import MAX_BYTES
from edge_hoi.vocabulary.published import known_vocabularies, published_vocabulary
from edge_hoi.vocabulary.vocabulary import Vocabulary


def load_vocabulary(name_or_path: str | Path | Sequence[Any]) -> Vocabulary:
    """Load a published vocabulary by name, or a custom one from YAML or a list (format: `edge_hoi.vocabulary.custom`).

    Args:
        name_or_path: `hico_det`, `vcoco`, the path of a YAML file, or a list such as `["person riding bicycle"]`.

    Raises:
        VocabularyError: There is no such name or file, or the file is invalid; the message has the place and the fix.
    """
    if not isinstance(name_or_path, str | Path):
        if not isinstance(name_or_path, Sequence):
            raise VocabularyError(f"a vocabulary is a name, a YAML file or a list of phrases, got {type(name_or_path).__name__}")
        return custom_vocabulary(list(name_or_path), file="vocabulary", name="custom")
    known = known_vocabularies()
    if name_or_path in known:
        return published_vocabulary(str(name_or_path))
    path = Path(name_or_path)
    try:
        content = read_regular(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        normal = str(name_or_path).lower().replace("-", "_")
        hint = nearest_name(normal, known, f"give a YAML file, or one of {', '.join(known)}")
        raise VocabularyError(f"no vocabulary {str(name_or_path)!r} ({reason}); {hint}") from error
    return parse_custom(content, file=path.name, name=path.stem)
