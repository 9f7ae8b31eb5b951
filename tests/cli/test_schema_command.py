"""`edge-hoi schema print` prints what consumers validate with."""

import json

import yaml

from edge_hoi.events import load_schema
from edge_hoi.sinks.asyncapi import asyncapi_document
from edge_hoi.sinks.schemas import SCHEMAS


def test_each_schema_is_printed_whole(edge_hoi):
    for name, read in SCHEMAS.items():
        code, text = edge_hoi("schema", "print", name)
        assert (code, json.loads(text)) == (0, read())
    code, text = edge_hoi("schema", "print")
    assert (code, json.loads(text)) == (0, load_schema())


def test_the_asyncapi_document_is_yaml(edge_hoi):
    code, text = edge_hoi("schema", "print", "asyncapi")
    assert (code, yaml.safe_load(text)) == (0, asyncapi_document())


def test_an_unknown_name_is_refused_with_those_known(edge_hoi):
    code, text = edge_hoi("schema", "print", "events")
    assert code == 2
    assert "frigate-review" in text
