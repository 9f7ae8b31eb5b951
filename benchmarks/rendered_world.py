"""Rebuild the rendered world's data, its small CLIP and HOICLIP, the embedded engine, and the tables, with one command.

    python benchmarks/rendered_world.py FOLDER [--only STAGE …] [--list] [--processes 2] [--images 400000] [--try]

Each stage is a command that writes something into FOLDER. A stage with its output in place is skipped, and an interrupted training
resumes. On two cores the whole takes a day, nearly all of it training; `--try` runs every stage in ten minutes, with so little data
that its metrics mean nothing.
"""

import argparse
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRAIN = "--batch 32 --longest 288 --fixed-size --workers 1 --set precision=bf16 --set schedule=cosine"

HOICLIP = (
    "--data {data}/train --model {runs}/clip/model.safetensors --detector {runs}/detector/model.safetensors"
    f" --verbs {{runs}}/verbs.safetensors --epochs 3 {TRAIN} --set backbone_learning_rate=3e-4 --set warmup_steps=200"
    " --set trains_whole_backbone=true --set ema_decay=0.998 --set save_every_steps=300 --set query_groups=3"
)

CAUTION = "was trained on rendered images only: on real video its output is meaningless"

THRESHOLDS = ROOT / "benchmarks" / "results" / "rendered_world" / "thresholds.yaml"
"""Chosen by benchmarks/event_settings.py on videos 1000 to 1031, which no evaluation uses. `one_person_per_object` and the exceptions for
drag, push and walk were added by hand."""

RECIPE = (
    (
        "render-first",
        "data/first/annotations.json",
        "render images --split train --count {first} --output {data}/first --captions",
    ),
    (
        "render-train",
        "data/train/annotations.json",
        "render images --split train --count {images} --from-videos 0.7 --output {data}/train",
    ),
    (
        "render-validation",
        "data/validation/annotations.json",
        "render images --split validation --count {validation} --output {data}/validation --captions",
    ),
    ("render-test", "data/test/annotations.json", "render images --split test --count {test} --output {data}/test"),
    ("render-held-out", "data/held_out/annotations.json", "render images --split held_out --count {held_out} --output {data}/held_out"),
    ("render-verbs", "data/verbs/annotations.json", "render images --split train --count {verbs} --output {data}/verbs"),
    (
        "clip",
        "runs/clip/model.safetensors",
        (
            "pretrain clip --data {data}/first/captioned --validate {data}/validation/captioned --vocabulary {data}/first/vocabulary.yaml"
            " --output {runs}/clip --epochs 3 --set patch_dropout=0.5 --set precision=bf16"
        ),
    ),
    (
        "detector",
        "runs/detector/model.safetensors",
        (
            "pretrain detector --data {data}/first --validate {data}/validation --output {runs}/detector --model untrained:small --epochs 1"
            f" {TRAIN} --set learning_rate=1e-3 --set backbone_learning_rate=1e-3"
        ),
    ),
    (
        "verbs",
        "runs/verbs.safetensors",
        "verb-classifier --dataset custom --data {data}/verbs --model {runs}/clip/model.safetensors --output {runs}/verbs.safetensors",
    ),
    ("hoiclip", "runs/hoiclip/model.safetensors", "train --validate {data}/validation --output {runs}/hoiclip " + HOICLIP),
    (
        "build-fp32",
        "engines/fp32/manifest.json",
        "build {runs}/hoiclip/model.safetensors --output {engines}/fp32 --size 160x288 --half-text-tower",
    ),
    (
        "build-int8",
        "engines/int8/manifest.json",
        (
            "build {runs}/hoiclip/model.safetensors --output {engines}/int8 --size 160x288 --half-text-tower --precision int8"
            " --calibration {data}/validation/images --frames {calibration} --method minmax"
            f" --name default --thresholds '{THRESHOLDS}' --caution '{CAUTION}'"
        ),
    ),
    ("eval-fp32", "results/fp32.json", "eval hoi --dataset custom --data {data}/test --engine {engines}/fp32 --output {results}/fp32.json"),
    ("eval-int8", "results/int8.json", "eval hoi --dataset custom --data {data}/test --engine {engines}/int8 --output {results}/int8.json"),
    (
        "eval-enhanced",
        "results/enhanced.json",
        "eval hoi --dataset custom --data {data}/test --engine {engines}/fp32 --enhance 10 --output {results}/enhanced.json",
    ),
    (
        "eval-held-out",
        "results/held_out.json",
        "eval hoi --dataset custom --data {data}/held_out --engine {engines}/int8 --output {results}/held_out.json",
    ),
    ("render-videos", "videos/000019.truth.json", "render videos --count {videos_count} --seconds {seconds} --output {videos}"),
    (
        "eval-events",
        "results/events.json",
        "eval events --videos {videos} --engine {engines}/int8 --output {results}/events.json",
    ),
    (
        "detector-boxes",
        "runs/detector-boxes/model.safetensors",
        (
            "pretrain detector --boxes-only --data {data}/first --output {runs}/detector-boxes --model untrained:small --epochs 1"
            f" {TRAIN} --longest 224 --set learning_rate=1e-3 --set backbone_learning_rate=1e-3"
        ),
    ),
    ("ablations", "ablations/table.md", "benchmarks/ablations.py {folder} --steps {steps}"),
    (
        "without-clip",
        "runs/without-clip/model.safetensors",
        "benchmarks/without_clip.py --validate {data}/test --output {runs}/without-clip " + HOICLIP,
    ),
)
"""(name, its output, its command of `edge-hoi` or its script)."""

WHOLE = {
    "first": 30_000,
    "validation": 500,
    "test": 2000,
    "held_out": 400,
    "verbs": 3000,
    "videos_count": 20,
    "seconds": 90,
    "calibration": 256,
    "steps": 350,
}
TRIAL = {
    "first": 800,
    "images": 800,
    "validation": 64,
    "test": 64,
    "held_out": 32,
    "verbs": 64,
    "videos_count": 2,
    "seconds": 12,
    "calibration": 16,
    "steps": 25,
}
"""Five in a hundred of the images fill a batch."""

SPREAD = ("detector", "detector-boxes", "hoiclip", "without-clip")
"""Stages trained by several processes."""

RESUMED = ("clip", *SPREAD)


@dataclass(frozen=True)
class Stage:
    """One step of the recipe.

    Attributes:
        name: For `--only`.
        output: Its output, below the folder.
        command: What makes it.
        resumes: Folder of a training's state, from which the command continues with `--resume`.
    """

    name: str
    output: str
    command: tuple[str, ...]
    resumes: str | None = None


def stages(folder: Path, amounts: dict[str, int], *, processes: int) -> list[Stage]:
    """List the recipe's steps in order.

    Args:
        folder: Folder of all outputs.
        amounts: Amounts by the names in the recipe.
        processes: Processes that render and train.
    """
    places = {name: folder / name for name in ("data", "runs", "engines", "results", "videos")} | {"folder": folder} | amounts
    spread = ("-m", "torch.distributed.run", "--nproc-per-node", str(processes))
    found = []
    for name, output, template in RECIPE:
        words = tuple(word.format(**places) for word in shlex.split(template))
        workers = ("--workers", str(processes)) if name.startswith("render") else ()
        resumes = f"runs/{name}" if name in RESUMED else None
        program = (*(spread if name in SPREAD else ()), *(() if words[0].endswith(".py") else ("-m", "edge_hoi.cli")))
        found.append(Stage(name, output, (sys.executable, *program, *words, *workers), resumes))
    return found


def run(stage: Stage, folder: Path) -> None:
    """Run one stage, unless its output is there.

    Raises:
        subprocess.CalledProcessError: The command failed.
    """
    output = folder / stage.output
    is_begun = stage.resumes is not None and (folder / stage.resumes / "state.safetensors").exists()
    is_ended = output.exists() and (stage.resumes is None or (folder / f"{stage.name}.done").exists())
    if is_ended:
        print(f"{stage.name}: already there", flush=True)
        return
    command = [*stage.command, "--resume"] if is_begun else list(stage.command)
    print(f"{stage.name}: {shlex.join(command)}", flush=True)
    began = time.monotonic()
    output.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, cwd=ROOT)
    (folder / f"{stage.name}.done").touch()
    print(f"{stage.name}: {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    """Run the selected stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", metavar="STAGE")
    parser.add_argument("--list", action="store_true", help="list the stages, and which are done")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--images", type=int, default=400_000)
    parser.add_argument("--try", action="store_true", dest="is_trial", help="run every stage with very little data")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    amounts = TRIAL if arguments.is_trial else WHOLE | {"images": arguments.images}
    known = stages(folder, amounts, processes=arguments.processes)
    if unknown := set(arguments.only or ()) - {stage.name for stage in known}:
        parser.error(f"no stage {', '.join(sorted(unknown))}; --list shows them")
    for stage in known:
        if arguments.list:
            print(f"{'done ' if (folder / stage.output).exists() else '     '}{stage.name:18} {shlex.join(stage.command[1:])}")
        elif not arguments.only or stage.name in arguments.only:
            run(stage, folder)


if __name__ == "__main__":
    main()
