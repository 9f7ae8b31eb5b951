"""Small clips whose frames show their number."""

from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT = 160, 120


def numbered_image(number):
    """Draw an image whose upper half encodes its number in ten black or white bars."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for bit in range(10):
        image[: HEIGHT // 2, bit * 16 : bit * 16 + 16] = 235 if number >> bit & 1 else 16
    image[HEIGHT // 2 + 10 : HEIGHT // 2 + 40, (number * 3) % (WIDTH - 30) : (number * 3) % (WIDTH - 30) + 30] = (200, 40, 40)
    return image


def number_of(image):
    """Read the number of an image."""
    return sum(1 << bit for bit in range(10) if image[HEIGHT // 4, bit * 16 + 8].mean() > 128)


def write_clip(
    path, *, frames=50, fps=25, key_frame_distance=12, times=None, container_options=None, metadata=None, rotation=None, sound=False
):
    """Write an H.264 clip with B-frames; `times` are the frames' times in milliseconds, if not evenly spaced."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "threads": "1", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", key_frame_distance
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if sound:
            _write_silence(container, frames / fps + 1)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered_image(number), format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = round(number * 1000 / fps) if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _write_silence(container, seconds):
    stream = container.add_stream("aac", rate=8000, layout="mono")
    for start in range(0, int(seconds * 8000), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_image(path, image):
    """Write an image in the format of its suffix."""
    codec, pixels = {".jpg": ("mjpeg", "yuvj420p"), ".png": ("png", "rgb24"), ".bmp": ("bmp", "bgr24"), ".webp": ("libwebp", "yuv420p")}[
        path.suffix
    ]
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream(codec, rate=1)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = pixels
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode(None))
    return path
