"""Remake the rendered world's data, its small CLIP and HOICLIP, the embedded engine, and the tables, with one command.

    python benchmarks/rendered_world.py FOLDER [--only STAGE …] [--list] [--processes 2] [--pictures 30000]

Each stage is a command of `edge-hoi` that leaves something in FOLDER; a stage whose output is there already is
passed over, and an interrupted training goes on where it was. On two cores all of it takes some hours, most of it training.
"""

import argparse
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = ("--longest", "288", "--fixed-size", "--workers", "1")
FROM_NOTHING = ("--set", "precision=bf16", "--set", "schedule=cosine")
CAUTION = "was trained in a rendered world and has never seen a photograph: what it reports of real video means nothing"


@dataclass(frozen=True)
class Stage:
    """One step of the recipe.

    Attributes:
        name: For `--only`.
        output: What is there once it is done, below the folder.
        command: What makes it.
        resumes: A folder with a training's state, in which the command goes on with `--resume`.
    """

    name: str
    output: str
    command: tuple[str, ...]
    resumes: str | None = None


def stages(folder: Path, *, pictures: int, processes: int) -> list[Stage]:
    """List the recipe's steps in order.

    Args:
        folder: Where everything goes.
        pictures: How many the networks are trained on.
        processes: Processes that render and train.
    """
    data, runs = folder / "data", folder / "runs"
    cli = (sys.executable, "-m", "edge_hoi.cli")
    spread = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "-m", "edge_hoi.cli")

    def render(split: str, count: int, name: str = "", *more: str) -> Stage:
        name = name or split
        command = ("render", "pictures", "--split", split, "--count", str(count), "--output", str(data / name), "--workers", str(processes))
        return Stage(f"render-{name}", f"data/{name}/annotations.json", (*cli, *command, *more))

    test, validation = data / "test", data / "validation"
    clip, detector, hoiclip = (runs / name / "model.safetensors" for name in ("clip", "detector", "hoiclip"))

    def build(name: str, *more: str) -> Stage:
        command = (*cli, "build", str(hoiclip), "--output", str(folder / "engines" / name), "--size", "160x288", "--half-text-tower", *more)
        return Stage(f"build-{name}", f"engines/{name}/manifest.json", command)

    def judge(name: str, engine: str, where: Path, *more: str) -> Stage:
        results = folder / "results" / f"{name}.json"
        command = (*cli, "eval", "hoi", "--dataset", "custom", "--data", str(where), "--engine", engine, "--output", str(results), *more)
        return Stage(f"eval-{name}", f"results/{name}.json", command)

    fp32, int8, videos = (str(folder / "engines" / "fp32"), str(folder / "engines" / "int8"), folder / "videos")
    trained = ("--batch", "32", *LONGEST, *FROM_NOTHING)
    return [
        render("train", pictures, "train", "--captions"),
        render("validation", 500, "validation", "--captions"),
        render("test", 2000),
        render("held_out", 400),
        render("train", 3000, "verbs"),
        Stage(
            "clip",
            "runs/clip/model.safetensors",
            (*cli, "pretrain", "clip", "--data", str(data / "train" / "captioned"), "--validate", str(validation / "captioned"))
            + ("--vocabulary", str(data / "train" / "vocabulary.yaml"), "--output", str(clip.parent), "--epochs", "3")
            + ("--set", "hidden_patches=0.5", "--set", "precision=bf16"),
            resumes="runs/clip",
        ),
        Stage(
            "detector",
            "runs/detector/model.safetensors",
            (
                *spread,
                "pretrain",
                "detector",
                "--data",
                str(data / "train"),
                "--validate",
                str(validation),
                "--output",
                str(detector.parent),
            )
            + ("--model", "untrained:small", "--epochs", "1", *trained)
            + ("--set", "learning_rate=1e-3", "--set", "backbone_learning_rate=1e-3"),
            resumes="runs/detector",
        ),
        Stage(
            "verbs",
            "runs/verbs.safetensors",
            (*cli, "verb-classifier", "--dataset", "custom", "--data", str(data / "verbs"), "--model", str(clip))
            + ("--output", str(runs / "verbs.safetensors")),
        ),
        Stage(
            "hoiclip",
            "runs/hoiclip/model.safetensors",
            (*spread, "train", "--data", str(data / "train"), "--validate", str(validation), "--output", str(hoiclip.parent))
            + ("--model", str(clip), "--detector", str(detector), "--verbs", str(runs / "verbs.safetensors"), "--epochs", "4", *trained)
            + ("--set", "learning_rate=6e-4", "--set", "backbone_learning_rate=3e-4", "--set", "warmup_steps=200")
            + ("--set", "trains_whole_backbone=true", "--set", "ema_decay=0.998", "--set", "save_every_steps=300"),
            resumes="runs/hoiclip",
        ),
        build("fp32"),
        build("int8", "--precision", "int8", "--calibration", str(data / "verbs"), "--name", "default", "--caution", CAUTION),
        judge("fp32", fp32, test),
        judge("int8", int8, test),
        judge("enhanced", fp32, test, "--enhance", "10"),
        judge("held-out", fp32, data / "held_out"),
        Stage(
            "render-videos",
            "videos/done",
            (*cli, "render", "videos", "--count", "20", "--seconds", "90", "--output", str(videos), "--workers", str(processes)),
        ),
        Stage(
            "eval-events",
            "results/events.json",
            (*cli, "eval", "events", "--videos", str(videos), "--engine", int8, "--output", str(folder / "results" / "events.json")),
        ),
    ]


def run(stage: Stage, folder: Path) -> None:
    """Run one stage, unless its output is there.

    Args:
        stage: The stage.
        folder: Where everything goes.

    Raises:
        subprocess.CalledProcessError: The command failed.
    """
    output = folder / stage.output
    is_begun = stage.resumes is not None and (folder / stage.resumes / "state.safetensors").exists()
    is_ended = output.exists() and (stage.resumes is None or (folder / f"{stage.name}.done").exists())
    if is_ended:
        print(f"{stage.name}: there already", flush=True)
        return
    command = [*stage.command, "--resume"] if is_begun else list(stage.command)
    print(f"{stage.name}: {shlex.join(command)}", flush=True)
    began = time.monotonic()
    output.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, cwd=ROOT)
    (folder / f"{stage.name}.done").touch()
    print(f"{stage.name}: {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", metavar="STAGE")
    parser.add_argument("--list", action="store_true", help="list the stages, and which are done")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=30_000)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    known = stages(folder, pictures=arguments.pictures, processes=arguments.processes)
    if unknown := set(arguments.only or ()) - {stage.name for stage in known}:
        parser.error(f"no stage {', '.join(sorted(unknown))}; --list names them")
    for stage in known:
        if arguments.list:
            print(f"{'done ' if (folder / stage.output).exists() else '     '}{stage.name:18} {shlex.join(stage.command[2:])}")
        elif not arguments.only or stage.name in arguments.only:
            run(stage, folder)


if __name__ == "__main__":
    main()
