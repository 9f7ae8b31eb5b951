"""Choose the size that a source's frames are resized to, without padding."""

import math

from edge_hoi.errors import EngineError
from edge_hoi.runtime.manifest_sections import InputDescription

# Weight of the relative error in area against the relative error in aspect ratio. At 1/4, 16:9 and 4:3 stay within 2 % of their aspect
# ratio and 6 % of the nominal area for 384x672.
_AREA_WEIGHT = 0.25


def choose_input_size(frame_width: int, frame_height: int, description: InputDescription) -> tuple[int, int]:
    """Return the input size `(height, width)` in pixels that is nearest to a frame's aspect ratio and to the engine's nominal area.

    Candidates are multiples of the engine's stride, of half to one and a half times its nominal area; without a stride, the nominal size.

    Raises:
        EngineError: The frame has no pixels.
    """
    if frame_width < 1 or frame_height < 1:
        raise EngineError(f"A frame's width and height are at least 1 pixel, got {frame_width}x{frame_height}; check the source")
    stride = description.stride
    if stride is None:
        return description.height, description.width
    aspect = frame_width / frame_height
    cells = max(1.0, description.height * description.width / stride**2)
    least, most = math.ceil(cells / 2), math.floor(cells * 3 / 2)

    def cost(size: tuple[int, int]) -> tuple[float, tuple[int, int]]:
        rows, columns = size
        distortion = abs(math.log(columns / rows / aspect)) + _AREA_WEIGHT * abs(math.log(rows * columns / cells))
        return round(distortion, 9), size  # rounded, so that transposed sizes tie exactly and the order decides

    sizes = ((rows, columns) for rows in range(1, most + 1) for columns in range(math.ceil(least / rows), most // rows + 1))
    rows, columns = min(sizes, key=cost)
    return rows * stride, columns * stride
