"""The card beside imported weights: what they are, whose, and what may be expected of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_hoi.hub.known import KnownModel


def write_card(path: Path, *, title: str, facts: Mapping[str, str], models: Sequence[KnownModel]) -> None:
    """Write a card in Markdown. The same import gives the same card: it holds no date.

    Args:
        path: Where to.
        title: Its heading.
        facts: What was found in the file, by name.
        models: Known weights that these are or may be.
    """
    lines = [f"# {title}", "", "| | |", "|---|---|", *(f"| {name} | {fact} |" for name, fact in facts.items()), ""]
    if len(models) > 1:
        lines += [f"These may be {' or '.join(model.name for model in models)}: files of the same form.", ""]
    for model in models:
        lines += [f"## {model.name}", "", f"{model.description}: {model.page} ({model.place})", "", f"Licence: {model.licence}.", ""]
        lines += ["| published figure | % |", "|---|---|", *(f"| {name} | {value:.2f} |" for name, value in model.figures.items()), ""]
        lines += [f"{model.note.capitalize()}.", ""] if model.note else []
    path.write_text("\n".join(lines), encoding="utf-8")
