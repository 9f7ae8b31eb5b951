"""Record histograms of layers' inputs, and choose their INT8 ranges from them.

One run over the frames is enough for every method. ONNX Runtime's calibrators need a run for each, and minutes for entropy.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_hoi.errors import EngineError
from edge_hoi.export.onnx import open_session
from edge_hoi.runtime import Arrays

Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)
"""How a range is chosen: all values, all but the largest 0.001 %, or the range that preserves most information."""

_BINS = 2048
_PERCENTILE = 0.99999
_LEVELS = 128  # magnitudes of INT8
_STRIDE = 16  # bins between two ranges that entropy compares


class Histogram:
    """Histogram of the magnitudes of a tensor's nonzero values.

    Bins double in width for larger values, so that the result does not depend on the order of values.

    Attributes:
        largest: The largest magnitude so far.
        counts: `(_BINS,)` int64.
        width: Of a bin; a power of two, or 0 before the first nonzero value.
    """

    def __init__(self) -> None:
        self.largest = 0.0
        self.counts = np.zeros(_BINS, np.int64)
        self.width = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Count more values, which must be finite."""
        magnitudes = np.abs(values[values != 0])  # 0 is exact in INT8, whatever the range
        if not magnitudes.size:
            return
        self.largest = max(self.largest, float(magnitudes.max()))
        self._widen(float(2.0 ** np.ceil(np.log2(self.largest / _BINS))))
        places = (magnitudes / np.float32(self.width)).astype(np.int64)
        self.counts += np.bincount(np.minimum(places, _BINS - 1), minlength=_BINS)

    def range(self, method: Method) -> float:
        """Choose the largest magnitude that INT8 represents; larger values saturate."""
        if method == "minmax" or not self.width:
            return self.largest
        if method == "percentile":
            last = int(np.searchsorted(self.counts.cumsum(), _PERCENTILE * self.counts.sum()))
            return min(self.largest, (last + 1) * self.width)
        ends = range(_LEVELS, _BINS + 1, _STRIDE)
        losses = [_information_lost(self.counts, end) for end in ends]
        return min(self.largest, ends[int(np.argmin(losses))] * self.width)

    def noise(self, limit: float) -> float:
        """Return INT8's mean square error with a range, relative to the mean square: of rounding within it, and of saturation beyond."""
        middles = (np.arange(_BINS) + 0.5) * self.width
        step = limit / (_LEVELS - 1)
        errors = np.where(middles <= limit, step**2 / 12, np.square(middles - limit))
        return float((self.counts * errors).sum() / max(float((self.counts * np.square(middles)).sum()), 1e-30))

    def _widen(self, width: float) -> None:
        if width <= self.width:
            return
        if self.width:
            joined = min(int(width / self.width), _BINS)
            counts = self.counts.reshape(-1, joined).sum(axis=1)
            self.counts = np.pad(counts, (0, _BINS - len(counts)))
        self.width = width


def record(model: onnx.ModelProto, tensors: Iterable[str], inputs: Iterable[Arrays], folder: Path) -> dict[str, Histogram]:
    """Run a network and return histograms of the named tensors.

    Args:
        model: The float network.
        tensors: Names of tensors.
        inputs: The network's inputs, frame by frame; the next frame may overwrite them.
        folder: For a temporary file.

    Raises:
        EngineError: There are no inputs, or a value is not finite.
    """
    histograms = {name: Histogram() for name in sorted(set(tensors))}
    run = open_with_outputs(model, list(histograms), folder)
    count = 0
    for frame in inputs:
        count += 1
        values = run(frame)
        for name, histogram in histograms.items():
            if not np.isfinite(values[name]).all():
                raise EngineError(f"in calibration {name!r} has values that are not finite; check the checkpoint's weights")
            histogram.add(values[name])
    if not count:
        raise EngineError("calibration expects at least one frame, got none; name a folder of images or a video")
    return histograms


def open_with_outputs(model: onnx.ModelProto, tensors: Iterable[str], folder: Path) -> Callable[[Arrays], dict[str, NDArray[Any]]]:
    """Return a function that runs a network and returns the named tensors: inputs, outputs, or intermediate ones.

    Args:
        model: The network.
        tensors: Names of tensors.
        folder: For a temporary file, because a network may be too large to be passed in memory.
    """
    given = {value.name for value in model.graph.input}
    wanted = [name for name in tensors if name not in given]
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    there = {value.name for value in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in there)
    path = folder / "observed.onnx"
    onnx.save_model(copy, path, save_as_external_data=True, location="observed.onnx.data")
    session = open_session(path)
    path.unlink()
    path.with_name("observed.onnx.data").unlink(missing_ok=True)

    def run(inputs: Arrays) -> dict[str, NDArray[Any]]:
        return {**inputs, **dict(zip(wanted, session.run(wanted, dict(inputs)), strict=True))} if wanted else dict(inputs)

    return run


def _information_lost(counts: NDArray[np.int64], end: int) -> float:
    """Return the Kullback-Leibler divergence of INT8 with a range of `end` bins from the float values; TensorRT's calibration rule."""
    reference = counts[:end].astype(np.float64)
    reference[-1] += counts[end:].sum()
    is_there = counts[:end] > 0
    levels = (np.arange(end) * _LEVELS) // end  # the INT8 magnitude of each bin
    totals = np.bincount(levels, counts[:end], _LEVELS)
    shares = np.bincount(levels, is_there, _LEVELS)
    quantised = np.where(is_there, (totals / np.maximum(shares, 1))[levels], 0)
    p, q = reference / reference.sum(), quantised / max(quantised.sum(), 1)
    seen = (p > 0) & (q > 0)
    unseen = p[(p > 0) & (q == 0)].sum()  # only outliers in an empty last bin
    return float((p[seen] * np.log(p[seen] / q[seen])).sum() + unseen * 20)
