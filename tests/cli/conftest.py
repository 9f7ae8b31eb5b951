"""Fixtures of the commands' tests."""

import subprocess

import pytest

from edge_hoi.cli import main


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(compiled_once):
    """Compile each engine once for all tests here."""


@pytest.fixture(scope="module")
def draw_yard(tmp_path_factory, repository):
    """Give a function that draws so many pictures as a custom data set called "yard"."""

    def draw(pictures):
        folder = tmp_path_factory.mktemp("data") / "yard"
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(repository / "benchmarks"))
            import overfit

            overfit.draw_images(folder, pictures)
        return folder

    return draw


@pytest.fixture
def edge_hoi(capsys):
    """Run a command; give its exit code and what it printed."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return exit_.value.code or 0, printed.out + printed.err

    return run


@pytest.fixture
def run_here(capfd, monkeypatch, tmp_path):
    """Run `run` in a folder of its own and in this process, which starts no interpreter; give what a process would."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(["run", *map(str, arguments)])
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, *capfd.readouterr())

    return run
