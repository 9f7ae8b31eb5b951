"""The published JSON Schema of interaction events."""

import json
from importlib.resources import files
from typing import Any, cast


def load_schema() -> dict[str, Any]:
    """Read the JSON Schema (2020-12) of an interaction event in its CloudEvents envelope.

    Returns:
        The schema; its `$id` is the `dataschema` of every event.
    """
    text = (files("edge_hoi.events") / "interaction-event.v1.schema.json").read_text(encoding="utf-8")
    return cast(dict[str, Any], json.loads(text))
