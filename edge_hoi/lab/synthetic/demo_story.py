"""The story of the embedded video."""

from edge_hoi.lab.synthetic.stories import Story

_SEED, _SECONDS, _FPS = 31653, 30.0, 15


def demo_story() -> Story:
    """Return the story that `DEMO_CLIP` shows."""
    return Story(_SEED, seconds=_SECONDS, fps=_FPS, drops=False)
