"""A folder does not choose what may run its code; the command line does."""

import shutil

import pytest

from edge_hoi.cli import main
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import read_manifest, write_manifest


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code


@pytest.mark.parametrize("backend", ["tensorrt-rtx", "of-another-package"])
def test_a_backend_that_may_run_code_of_the_folder_must_be_named(tmp_path, monkeypatch, capsys, backend):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(engine_folder("default"), "mine")
    write_manifest(tmp_path / "mine", read_manifest(tmp_path / "mine").model_copy(update={"backend": backend}))
    for words in (["run", "--source", DEMO_CLIP, "--max-frames", 2], ["detect", DEMO_CLIP, "--max-frames", 1]):
        assert command(*words, "--engine", "mine") == 4
        assert f"mine asks for backend '{backend}', which may run code of the folder" in " ".join(capsys.readouterr().err.split())
        assert command(*words, "--engine", "mine", "--backend", "openvino") == 0
        capsys.readouterr()
