"""The rendered world: pictures and videos of drawn people who do things with things, and all that is true of them."""

from pathlib import Path

DEMO_CLIP = Path(__file__).parent.parent / "assets" / "demo.mp4"
"""The embedded video, which `edge-hoi run` plays if no other is named; its truth lies beside it."""
