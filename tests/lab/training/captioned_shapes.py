"""Images of coloured shapes with captions, as a folder for contrastive training."""

import json

import numpy as np
import PIL.Image
import PIL.ImageDraw

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 40), "blue": (30, 60, 220), "yellow": (235, 215, 30)}
SHAPES = ("square", "bar", "pole")
VOCABULARY = "- person holding red bar\n- person kicking blue square\n"


def draw_shapes(folder, *, each=4, seed=0):
    """Write `each` images for each of the twelve meanings, at random places and sizes, with two captions each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for colour, rgb in COLOURS.items():
        for shape in SHAPES:
            for number in range(each):
                name = f"{colour}_{shape}_{number}.png"
                _draw(shape, rgb, rng).save(folder / name)
                captions = [f"a photo of a {colour} {shape}", f"there is a {shape} that is {colour}"]
                images.append({"file": name, "captions": captions, "meaning": f"{colour} {shape}"})
    (folder / "captions.json").write_text(json.dumps({"images": images}))
    return folder


def _draw(shape, rgb, rng):
    image = PIL.Image.new("RGB", (80, 64), (128, 128, 128))
    pen = PIL.ImageDraw.Draw(image)
    x, y = rng.integers(37, 44), rng.integers(29, 36)
    half = rng.integers(14, 20)
    across, up = {"square": (half, half), "bar": (half, 4), "pole": (4, half)}[shape]
    pen.rectangle((x - across, y - up, x + across, y + up), fill=rgb)
    return image
