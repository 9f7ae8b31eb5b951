"""Two processes with half a batch each against one with the whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.model import load_checkpoint

SCRIPT = Path(__file__).with_name("train_in_processes.py")
TIMED = "images_per_second"


def run(folder, *launcher):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *launcher, SCRIPT, folder], check=True, capture_output=True, text=True, timeout=240, env=environment)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return lines, load_checkpoint(folder / "model.safetensors").tensors()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    alone, weights_alone = run(tmp_path / "alone")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    together, weights_together = run(tmp_path / "together", *launcher)
    assert len(alone) == len(together) == 6  # four steps and two evaluations: one process reports for all
    for one, two in zip(alone, together, strict=True):
        for name in one.keys() - {TIMED}:
            # Percentages of errors are means of the processes' percentages; all else is of the whole batch.
            if not name.startswith("error/"):
                assert two[name] == pytest.approx(one[name], rel=2e-4), name
    for name, tensor in weights_alone.items():
        torch.testing.assert_close(weights_together[name], tensor, rtol=1e-3, atol=3e-4)
