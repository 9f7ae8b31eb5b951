"""The worked example of docs/fine-tuning.md, with fewer epochs."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.cli import main


@pytest.fixture
def commands(repository):
    text = (repository / "docs" / "fine-tuning.md").read_text()
    blocks = re.findall(r"^```sh\n(.+?)^```$", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.slow
def test_the_worked_example_runs(commands, tmp_path, monkeypatch, repository, capsys):
    assert [command[:2] for command in commands] == [
        ["python", "benchmarks/overfit.py"],
        *(["edge-hoi", name] for name in ("datasets", "train", "build", "detect")),
    ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(repository / "benchmarks" / "overfit.py", tmp_path / "benchmarks")
    for program, *arguments in commands:
        if program == "python":
            subprocess.run([sys.executable, *arguments], check=True, env={"PYTHONPATH": str(repository)})
            continue
        shorter = ["2" if before == "--epochs" else argument for before, argument in zip(["", *arguments], arguments, strict=False)]
        with pytest.raises(SystemExit) as exit_:
            main(shorter)
        assert not exit_.value.code, capsys.readouterr()
    files = {path.name for path in (tmp_path / "runs" / "yard").iterdir()}
    assert files == {
        "model.safetensors",
        "best.safetensors",
        "vocabulary.yaml",
        "metrics.jsonl",
        "tensorboard",
        "settings.json",
        "state.safetensors",
    }
    assert (tmp_path / "seen.png").is_file()
