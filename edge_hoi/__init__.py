"""Detect human-object interactions in images and video, and turn them into events.

    import edge_hoi as hoi

    detector = hoi.Detector("default")
    for interaction in detector("photo.jpg"):
        print(interaction.text, interaction.score)

The names in `__all__` are the public API; each is imported at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from edge_hoi.api.detector import Detector
    from edge_hoi.api.stream import stream
    from edge_hoi.api.watch import watch
    from edge_hoi.config import RunConfig, load_config
    from edge_hoi.demo import DEMO_CLIP
    from edge_hoi.errors import EdgeHoiError
    from edge_hoi.ingest import open_source
    from edge_hoi.media import annotate
    from edge_hoi.runtime import Engine, InOrderEngine, register_backend
    from edge_hoi.sinks import Message, Sink, SinkSettings
    from edge_hoi.types import EndReason, Event, Frame, Interaction, Interactions, Phase, Track, TrackedInteractions
    from edge_hoi.vocabulary import Vocabulary, load_vocabulary

_MODULES = {
    "DEMO_CLIP": "edge_hoi.demo",
    "Detector": "edge_hoi.api.detector",
    "EdgeHoiError": "edge_hoi.errors",
    "EndReason": "edge_hoi.types",
    "Engine": "edge_hoi.runtime",
    "Event": "edge_hoi.types",
    "Frame": "edge_hoi.types",
    "InOrderEngine": "edge_hoi.runtime",
    "Interaction": "edge_hoi.types",
    "Interactions": "edge_hoi.types",
    "Message": "edge_hoi.sinks",
    "Phase": "edge_hoi.types",
    "RunConfig": "edge_hoi.config",
    "Sink": "edge_hoi.sinks",
    "SinkSettings": "edge_hoi.sinks",
    "Track": "edge_hoi.types",
    "TrackedInteractions": "edge_hoi.types",
    "Vocabulary": "edge_hoi.vocabulary",
    "annotate": "edge_hoi.media",
    "load_config": "edge_hoi.config",
    "load_vocabulary": "edge_hoi.vocabulary",
    "open_source": "edge_hoi.ingest",
    "register_backend": "edge_hoi.runtime",
    "stream": "edge_hoi.api.stream",
    "watch": "edge_hoi.api.watch",
}

__all__ = [
    "DEMO_CLIP",
    "Detector",
    "EdgeHoiError",
    "EndReason",
    "Engine",
    "Event",
    "Frame",
    "InOrderEngine",
    "Interaction",
    "Interactions",
    "Message",
    "Phase",
    "RunConfig",
    "Sink",
    "SinkSettings",
    "Track",
    "TrackedInteractions",
    "Vocabulary",
    "annotate",
    "load_config",
    "load_vocabulary",
    "open_source",
    "register_backend",
    "stream",
    "watch",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- whatever the name stands for
    if name not in _MODULES:
        raise AttributeError(f"module 'edge_hoi' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
