"""The model card beside imported weights: content, origin, licence and published figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_hoi.hub.known import KnownModel


def write_card(path: Path, *, title: str, facts: Mapping[str, str], models: Sequence[KnownModel]) -> None:
    """Write a card in Markdown; it holds no date, so the same import gives the same card.

    Args:
        path: The file to write.
        title: Its heading.
        facts: Properties of the file, by name.
        models: Known weights that these are or may be.
    """
    lines = [f"# {title}", "", "| | |", "|---|---|", *(f"| {name} | {fact} |" for name, fact in facts.items()), ""]
    if len(models) > 1:
        lines += [f"These may be {' or '.join(model.name for model in models)}: files of the same format.", ""]
    for model in models:
        lines += [f"## {model.name}", "", f"{model.description}: {model.page} ({model.place})", "", f"Licence: {model.licence}.", ""]
        lines += ["| published figure | % |", "|---|---|", *(f"| {name} | {value:.2f} |" for name, value in model.figures.items()), ""]
        lines += [f"{model.note.capitalize()}.", ""] if model.note else []
    path.write_text("\n".join(lines), encoding="utf-8")
