"""Draw what an engine finds in photographs on one sheet: `python benchmarks/photo_sheet.py ENGINE FOLDER SHEET.jpg [--boxes-only]`.

With `--boxes-only` the photographs themselves are left out, for those whose licence does not allow to pass them on.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

import edge_hoi as hoi
from edge_hoi.lab.datasets.images import read_image
from edge_hoi.types import Image

COLUMNS, WIDTH, HEIGHT = 4, 480, 360
GREY = 225


def main() -> None:
    """Detect, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine")
    parser.add_argument("folder", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--threshold", type=float, help="least score; default: the engine's")
    parser.add_argument("--boxes-only", action="store_true")
    arguments = parser.parse_args()
    tiles = []
    with hoi.Detector(arguments.engine, threshold=arguments.threshold) as detector:
        for path in sorted(arguments.folder.glob("*.jpg")):
            image = read_image(path)
            found = detector(image)
            print(f"{path.stem}: {', '.join(f'{one.text} {one.score:.2f}' for one in found if one.is_interaction) or 'nothing'}")
            drawn = hoi.annotate(np.full_like(image, GREY) if arguments.boxes_only else image, found)
            tiles.append(_tile(drawn, path.stem))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[begin : begin + COLUMNS], axis=1) for begin in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(arguments.sheet), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])


def _tile(image: Image, name: str) -> Image:
    """Fit an image into a tile of the sheet, with its name below."""
    scale = min(WIDTH / image.shape[1], HEIGHT / image.shape[0])
    resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.full((HEIGHT + 24, WIDTH, 3), 255, np.uint8)
    tile[: resized.shape[0], : resized.shape[1]] = resized
    cv2.putText(tile, name, (6, HEIGHT + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return tile


if __name__ == "__main__":
    main()
