"""Sinks of other packages: the documentation's example, installed as a package."""

import re
import sys

import pytest
from sample_events import make_episode

from edge_hoi.config import load_config
from edge_hoi.errors import ConfigError, SinkUnavailableError
from edge_hoi.sinks import JsonlSettings, Message, SinkContext, registry, settings_of, sink_types


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package with an entry point, as pip does."""

    def install_package(code, entry_point):
        (tmp_path / "my_package").mkdir()
        (tmp_path / "my_package" / "bell.py").write_text(code)
        info = tmp_path / "my_package-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[edge_hoi.sinks]\n{entry_point}\n")
        monkeypatch.syspath_prepend(tmp_path)
        registry._registry.cache_clear()

    yield install_package
    registry._registry.cache_clear()
    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]


@pytest.fixture
def example(repository):
    return re.findall(r"```python\n(.*?)```", (repository / "docs" / "delivery.md").read_text(), re.DOTALL)[0]


def test_a_sink_of_another_package_is_configured_by_its_type_and_works(install, example, tmp_path):
    install(example, "bell = my_package.bell:BellSettings")
    assert "bell" in sink_types()
    path = tmp_path / "config.yaml"
    path.write_text("sinks: [{type: bell, device: /dev/null, retry: {max_refusals: 5}}]")
    (settings,) = load_config(path).sinks
    assert (settings.device, settings.sink_name, settings.retry.max_refusals) == ("/dev/null", "bell", 5)
    with settings.make(SinkContext("site")) as sink:
        sink.deliver([Message.of(event) for event in make_episode()])
        sink.device = str(tmp_path / "missing" / "bell")
        with pytest.raises(SinkUnavailableError, match="does not ring: No such file"):
            sink.deliver([Message.of(event) for event in make_episode()])
    path.write_text("sinks: [{type: bell, devise: /dev/null}]")
    with pytest.raises(ConfigError, match=r"sinks\[0\]\.devise: unknown key; did you mean 'device'\?"):
        load_config(path)


def test_a_built_in_type_cannot_be_replaced(install, example):
    install(example, "jsonl = my_package.bell:BellSettings")
    assert settings_of("jsonl") is JsonlSettings


def test_an_entry_point_that_is_no_sink_settings_is_refused(install, example):
    install(example, "bell = my_package.bell:BellSink")
    with pytest.raises(ConfigError, match=r"'bell' of group edge_hoi\.sinks is .*BellSink.*no subclass of SinkSettings"):
        settings_of("bell")
