"""The README's examples are true."""

import re
import shlex
import subprocess
import sys

import pytest
import yaml

from edge_hoi.cli import main
from edge_hoi.vocabulary import load_vocabulary

GROUPS = ("datasets", "eval", "models", "outbox", "pretrain", "render", "sinks")


@pytest.fixture
def readme(repository):
    return (repository / "README.md").read_text()


def test_the_two_commands_come_first_and_use_what_pyproject_offers(readme, repository):
    run, tests = re.findall(r"^```sh\n(.+?)\n```$", readme, re.MULTILINE | re.DOTALL)
    assert "pip install ." in run
    assert run.endswith("run_stream.py")
    assert "pip install -e '.[dev]'" in tests
    assert tests.endswith("pytest")
    assert re.search(r"^dev = \[", (repository / "pyproject.toml").read_text(), re.MULTILINE)


def test_the_options_of_the_shown_commands_exist(readme, capsys):
    commands = re.findall(r"^\$ edge-hoi (.+)$", readme, re.MULTILINE)
    assert len(commands) >= 9
    for command in commands:
        name, *arguments = shlex.split(command)
        group = [arguments[0]] if name in GROUPS else []
        with pytest.raises(SystemExit):
            main([name, *group, "--help"])
        page = capsys.readouterr().out
        for argument in arguments:
            if argument.startswith("--"):
                assert argument in page, command


def test_the_example_vocabulary_loads(readme, tmp_path):
    (example,) = re.findall(r"^```yaml\n(.+?)^```$", readme, re.MULTILINE | re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(example)
    assert len(load_vocabulary(str(path))) == len(yaml.safe_load(example)) == 3


@pytest.mark.parametrize("is_whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["4 seconds", "whole"])
def test_the_python_example_runs(readme, short_clip, tmp_path, is_whole):
    (example,) = re.findall(r"^```python\n(.+?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(example.split("\n\n", 1)[1].splitlines()) == 4
    if not is_whole:
        example = example.replace("hoi.DEMO_CLIP", repr(str(short_clip)))
    result = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^\d+\.\d s: person \d+: person riding bicycle, 0\.\d\d$", result.stdout, re.MULTILINE)


def test_every_path_that_is_named_exists(readme, repository):
    for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", readme) + re.findall(r"`((?:docs|benchmarks|configs|edge_hoi)/[\w./-]+)`", readme):
        assert (repository / path).exists(), path
