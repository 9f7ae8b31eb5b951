"""Log of a training run: `metrics.jsonl`, and TensorBoard files where TensorBoard is installed."""

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FILE = "metrics.jsonl"


class TrainingLog:
    """Writes metrics by step.

    Args:
        folder: The run's; holds `metrics.jsonl`, and TensorBoard files in `tensorboard`.
        first_step: Steps done already; entries past them, from before an interruption, are removed.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._path = folder / FILE
        self._truncate(first_step)
        self._board = _open_board(folder / "tensorboard", first_step)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write metrics by name (a slash groups them) after so many steps."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()

    def close(self) -> None:
        """Close the TensorBoard files."""
        if self._board is not None:
            self._board.close()

    def _truncate(self, step: int) -> None:
        if self._path.is_file():
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            self._path.write_text("".join(kept), encoding="utf-8")


def _open_board(folder: Path, first_step: int) -> "SummaryWriter | None":
    if not importlib.util.find_spec("tensorboard"):
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first_step + 1)
