"""Encoded video whose frames show their number, for tests of clips."""

import io

import av
import numpy as np

from edge_hoi.ingest import SourceReader, open_source

FPS, SECONDS, GOP = 25, 8, 20


def make_video(path, *, codec="libx264", options=None, **others):
    """Write frames that show their number in binary, as 8 columns."""
    with av.open(str(path), "w", **others) as container:
        stream = container.add_stream(codec, rate=FPS, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.gop_size = GOP
        for number in range(FPS * SECONDS):
            bits = [number >> bit & 1 for bit in range(8)]
            image = np.repeat(np.repeat([np.array(bits, np.uint8) * 200 + 20], 64, axis=0), 16, axis=1)
            frame = av.VideoFrame.from_ndarray(np.stack([image] * 3, axis=-1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers_in(data):
    """Decode a clip and read its frames' numbers and times."""
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(video=0))
    shown = [(frame.to_ndarray(format="gray")[32, 8::16] > 110) @ (1 << np.arange(8)) for frame in frames]
    return [int(number) for number in shown], [float(frame.pts * frame.time_base) for frame in frames]


def read_into(ring, path):
    """Read a video to its end as a pipeline does."""
    with SourceReader(lambda: open_source(str(path), source_id="camera", listener=ring), source_id="camera", listener=ring) as reader:
        frames = []
        while (frame := reader.mailbox.get()) is not None:
            frames.append(frame)
    assert reader.error is None
    return frames
