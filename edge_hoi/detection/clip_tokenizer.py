"""CLIP's tokenizer from a file's words and merges alone: what else a stranger's `tokenizer.json` asks for never runs.

A pattern there could take unlimited time, and its replacements unlimited memory.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_hoi.errors import EngineError

MAX_BYTES = 16 << 20
"""Most bytes of `tokenizer.json`; CLIP's has 1.7 MB."""

_START, _END = "<start_of_text>", "<end_of_text>"
# open_clip's pattern; it ignores case, which matters for the long s.
_WORDS = r"(?i)'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
_MOST_IDS = 1 << 20


def clip_tokenizer(words: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> Any:  # noqa: ANN401 -- an optional package's class
    """Make the equivalent of open_clip's `SimpleTokenizer`.

    Two of its cleaning steps cannot be represented: repairing wrongly decoded text, and HTML entities.

    Args:
        words: Id of each token; `<start_of_text>` and `<end_of_text>` are among them.
        merges: Byte-pair merges, the most frequent first.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.BPE(vocab=dict(words), merges=list(merges), end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(Regex("[\u02bc\u2018-\u201b]"), "'"),
            normalizers.Replace(Regex("[\u201c-\u201f]"), '"'),
            normalizers.Lowercase(),
        ]
    )
    split = pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.add_special_tokens([_START, _END])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=[(name, words[name]) for name in (_START, _END)]
    )
    return tokenizer


def read_tokenizer(copy: Path, name: Path) -> Any:  # noqa: ANN401
    """Read the words and merges of a `tokenizer.json`.

    Args:
        copy: The file to read.
        name: Its name for messages.

    Raises:
        EngineError: It has no such lists, or they contradict each other.
    """
    try:
        model = json.loads(copy.read_bytes())["model"]
        words = {str(word): int(number) for word, number in model["vocab"].items()}
        pairs = [tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in model["merges"]]
        if not all(0 <= number < _MOST_IDS for number in words.values()):
            raise ValueError("a token's id is out of range")
        return clip_tokenizer(words, [(str(first), str(second)) for first, second in pairs])
    except Exception as error:  # tokenizers raises bare Exception, json RecursionError
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise EngineError(f"{name} is no tokenizer of CLIP ({reason}); build the engine again with `edge-hoi build`") from error
