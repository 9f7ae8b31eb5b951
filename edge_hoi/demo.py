"""The recording that comes with the package."""

from pathlib import Path

DEMO_CLIP = Path(__file__).resolve().parent / "assets" / "demo.mp4"
"""What `edge-hoi run` plays without a source; its ground truth lies beside it."""
