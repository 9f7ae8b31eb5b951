"""What is said where an optional package is missing: a command that works, since edge-hoi is not on the package index."""

import re
import sys

import pytest

from edge_hoi.config import parse_config
from edge_hoi.errors import MissingDependencyError, install_command
from edge_hoi.sinks import SinkContext

CLIENTS = {
    "kafka": ({"brokers": ["localhost:9092"], "topic": "events"}, "confluent_kafka"),
    "mqtt": ({"host": "localhost"}, "paho.mqtt.client"),
    "parquet": ({"folder": "events"}, "pyarrow"),
    "redis": ({"stream": "events"}, "redis"),
    "webhook": ({"url": "http://localhost/"}, "httpx"),
}


def test_the_hint_names_what_needs_it_the_packages_and_the_command():
    error = MissingDependencyError.of_extra("a sink of type kafka", "confluent-kafka", "kafka")
    assert str(error) == "a sink of type kafka needs confluent-kafka: run `pip install '.[kafka]'` in a checkout of edge-hoi"
    several = MissingDependencyError.of_extra("training", ["torch", "matplotlib"], "train")
    assert str(several) == "training needs torch, matplotlib: run `pip install '.[train]'` in a checkout of edge-hoi"


def test_installed_modules_need_no_hint_and_missing_ones_are_all_named():
    MissingDependencyError.unless_installed("this test", ["json", "email.message"], "build")
    with pytest.raises(MissingDependencyError, match=r"^this test needs not_there, nor_there: run `pip install '\.\[build\]'`"):
        MissingDependencyError.unless_installed("this test", ["not_there", "json", "nor_there"], "build")


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_a_sink_without_its_client_names_its_extra(monkeypatch, kind):
    settings, module = CLIENTS[kind]
    (sink,) = parse_config({"sinks": [{"type": kind, **settings}]}, origin="here").sinks
    package = module.partition(".")[0]
    # Also its modules that an earlier test imported, which would be found without their package.
    for part in {package, module, *(name for name in sys.modules if name.startswith(f"{package}."))}:
        monkeypatch.setitem(sys.modules, part, None)
    with pytest.raises(MissingDependencyError) as caught:
        sink.make(SinkContext(site="site", cameras=("camera",)))
    assert str(caught.value).startswith(f"a sink of type {kind} needs ")
    assert str(caught.value).endswith(f"run {install_command(kind)}")


def test_no_text_tells_to_install_from_the_index(repository):
    places = [
        "README.md",
        *(
            str(path.relative_to(repository))
            for folder in ("docs", "configs", "edge_hoi", "engines", "examples")
            for path in (repository / folder).rglob("*")
        ),
    ]
    for place in places:
        if place.endswith((".md", ".yaml", ".py")):
            text = (repository / place).read_text(encoding="utf-8")
            assert not re.search(r"pip install '?edge-hoi", text), place


def test_every_extra_that_a_text_names_exists(repository):
    tomllib = pytest.importorskip("tomllib", reason="tomllib comes with Python 3.11")
    extras = set(tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    named = set()
    for folder in ("docs", "configs", "edge_hoi", "engines", "."):
        pattern = "*.md" if folder == "." else "**/*"
        for path in (repository / folder).glob(pattern):
            if path.suffix in (".md", ".yaml", ".py"):
                for names in re.findall(r"pip install (?:-e )?'\.\[([\w,-]+)\]'", path.read_text(encoding="utf-8")):
                    named.update(names.split(","))
    assert named >= {"build", "train", "text", "mqtt", "kafka"}
    assert named <= extras
