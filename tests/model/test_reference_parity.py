"""Parity with the published implementation, by the benchmark script."""

import copy
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

OUTPUTS = {
    "pred_hoi_logits": (2, 64, 263),
    "pred_obj_logits": (2, 64, 82),
    "pred_sub_boxes": (2, 64, 4),
    "pred_obj_boxes": (2, 64, 4),
    "clip_visual": (2, 4, 512),
    "clip_logits": (2, 263),
    "text_embedding_head": (4, 512),
}


@pytest.fixture(scope="module")
def script(repository):
    specification = importlib.util.spec_from_file_location("reference_parity", repository / "benchmarks" / "reference_parity.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(repository, *arguments):
    command = [sys.executable, repository / "benchmarks" / "reference_parity.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_network_gives_the_published_implementations_numbers(repository, shared_data):
    folder = shared_data / "reference"
    finished = run(repository, folder / "hoiclip_hico.npz", folder / "hoiclip_hico.keys.tsv", "--probes")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.count("PASS") == len(OUTPUTS) + 1
    assert finished.stdout.count("probe/") == 12
    assert not finished.stderr


CASES = {
    "vcoco": {"dataset": "vcoco", "zero_shot": ""},
    "hico_rare_first": {"dataset": "hico-det", "zero_shot": "rare_first"},
}


def padded_batch(case):
    """Return a reference's case for a batch of two sizes, without its outputs."""
    return {name: np.array(value) for name, value in ({"case": case} | CASES[case]).items()} | {"sizes": np.array([[96, 160], [128, 90]])}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_script_accepts_other_data_sets_and_padded_batches(script, shared_data, case):
    batch = padded_batch(case)
    ours = script.compute(script.build(batch, shared_data / "reference" / f"hoiclip_{case}.keys.tsv"), batch)
    if case == "vcoco":
        assert {name: ours[name].shape for name in OUTPUTS} == OUTPUTS
    assert script.compare(ours, batch | ours)


@pytest.mark.parametrize(("case", "network"), [("vcoco", "vcoco"), ("hico_rare_first", "rare_first")])
def test_script_detects_a_wrong_number(script, request, tmp_path, capsys, case, network):
    small = copy.deepcopy(request.getfixturevalue(network))  # the script adds hooks
    batch = padded_batch(case)
    ours = script.compute(small, batch)
    np.savez(tmp_path / "reference.npz", **batch, **ours)
    with np.load(tmp_path / "reference.npz") as archive:
        reference = dict(archive)
    assert script.compare(ours, reference)
    for name, tolerance in script.TOLERANCES.items():
        wrong = reference[name].copy()
        wrong.flat[-1] += 2 * tolerance
        capsys.readouterr()
        assert not script.compare(ours, reference | {name: wrong})
        assert capsys.readouterr().out.count("FAIL") == 1
    assert not script.compare(ours, reference | {"pred_sub_boxes": np.full_like(reference["pred_sub_boxes"], np.nan)})
    assert not script.compare(ours, reference | {"pred_sub_boxes": reference["pred_sub_boxes"][:1]})
    assert not script.compare(ours, {name: array for name, array in reference.items() if name != "pred_sub_boxes"})
