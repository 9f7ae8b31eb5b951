"""Figures: what evaluators give, as JSON and as a table for the terminal."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class CategoryResult:
    """One category's figures; not a number without ground truth.

    Attributes:
        name: For people.
        instances: Ground truths.
        average_precision: In [0, 1].
        others: Further figures of the benchmark by name, such as average precision with known objects; in [0, 1].
        is_rare: Whether the training set has few of it; None where that is not said.
        is_unseen: Whether a zero-shot split keeps it from training; None without such a split.
    """

    name: str
    instances: int
    average_precision: float
    others: dict[str, float] = field(default_factory=dict)
    is_rare: bool | None = None
    is_unseen: bool | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """One benchmark's figures.

    Attributes:
        protocol: The benchmark's name.
        images: How many were judged.
        figures: By setting, then by what is averaged over; in [0, 1], not a number where nothing has ground truth.
        categories: The categories one by one, in the vocabulary's order.
    """

    protocol: str
    images: int
    figures: dict[str, dict[str, float]]
    categories: tuple[CategoryResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Give all as JSON has it, with null for not a number."""
        form: dict[str, Any] = null_for_nan(asdict(self))
        return form

    def table(self) -> Table:
        """Make a table of the figures, in percent as papers have them."""
        columns = list(dict.fromkeys(name for row in self.figures.values() for name in row))
        title = f"{self.protocol}, {self.images} images, %"
        table = Table(title=title, title_justify="left", min_width=len(title))
        table.add_column("")
        for name in columns:
            table.add_column(name, justify="right")
        for setting, row in self.figures.items():
            table.add_row(setting, *(_percent(row.get(name, math.nan)) for name in columns))
        return table


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def null_for_nan(value: Any) -> Any:  # noqa: ANN401 -- any JSON
    """Make figures such that JSON can hold them.

    Args:
        value: Mappings, lists, and what they hold.

    Returns:
        The same with null for not a number.
    """
    if isinstance(value, dict):
        return {key: null_for_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [null_for_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
