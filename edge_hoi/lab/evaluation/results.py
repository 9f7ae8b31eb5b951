"""Results of an evaluation, as JSON and as a table for the terminal."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar, cast

from rich.table import Table

_Json = TypeVar("_Json")


@dataclass(frozen=True, slots=True)
class CategoryResult:
    """One category's metrics in [0, 1]; NaN without ground truth.

    Attributes:
        instances: Number of ground truths.
        others: Further metrics of the benchmark by name, such as average precision with known objects.
        is_rare: Whether the training set has few of it; None where unknown.
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
    """One benchmark's metrics.

    Attributes:
        protocol: The benchmark's name.
        images: Number of images.
        metrics: By setting, then by the group averaged over; in [0, 1], NaN where nothing has ground truth.
    """

    protocol: str
    images: int
    metrics: dict[str, dict[str, float]]
    categories: tuple[CategoryResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON, with null for NaN."""
        return null_for_nan(asdict(self))

    def table(self, dataset: str) -> Table:
        """Make a table of the metrics in percent, titled with the data set's name and split."""
        columns = list(dict.fromkeys(name for row in self.metrics.values() for name in row))
        title = f"{dataset}: {self.images} images, {self.protocol} protocol, %"
        table = Table(title=title, title_justify="left", min_width=len(title))
        table.add_column("")
        for name in columns:
            table.add_column(name, justify="right")
        for setting, row in self.metrics.items():
            table.add_row(setting, *(_percent(row.get(name, math.nan)) for name in columns))
        return table


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def null_for_nan(value: _Json) -> _Json:
    """Replace NaN by None in nested mappings and lists, as JSON has no NaN."""
    plain: Any = value
    if isinstance(value, dict):
        plain = {key: null_for_nan(item) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        plain = [null_for_nan(item) for item in value]
    elif isinstance(value, float) and math.isnan(value):
        plain = None
    return cast(_Json, plain)
