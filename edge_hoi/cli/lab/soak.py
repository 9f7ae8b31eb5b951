"""`edge-hoi soak`: how a configuration stands cameras with faults."""

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_hoi.cli.lab.results import check_outputs, write_json
from edge_hoi.cli.terminal import out, print_error, print_note

if TYPE_CHECKING:
    from edge_hoi.lab.soak.soak import FaultReport, SoakReport

FAILED_EXIT_CODE = 9


def soak(
    config: Annotated[Path | None, typer.Argument(help="Configuration, whose sources are replaced; default: the defaults.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long.")] = 600.0,
    cameras: Annotated[int, typer.Option("--cameras", min=1, max=64, help="How many cameras.")] = 4,
    clip: Annotated[Path | None, typer.Option("--clip", help="H.264 that the cameras show; default: the embedded clip.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides which faults come when.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all measurements to this file.")] = None,
) -> None:
    """Watch cameras on this machine that have the faults of real ones, and report what each fault did.

    The cameras lose their connection or their power, go silent while their sound goes on, lose frames and flip bits, jump in time, change
    the password and the resolution, and have too many viewers. The command fails if a camera is lost, its frames take more than 10 s to
    come again, an event never ends, or memory grows for long by more than 1 MB an hour.

        edge-hoi soak my.yaml --seconds 3600 --json soak.json
    """
    from edge_hoi.config import RunConfig, load_config
    from edge_hoi.demo import DEMO_CLIP
    from edge_hoi.lab.soak.soak import soak as run_soak

    check_outputs(json_file, None, [config, clip])
    settings = load_config(config) if config else RunConfig()
    with tempfile.TemporaryDirectory() as folder:
        report = run_soak(settings, clip or DEMO_CLIP, cameras=cameras, seconds=seconds, seed=seed, folder=Path(folder), note=print_note)
    _show(report)
    if json_file:
        write_json(json_file, report.as_json())
    for line in report.failures:
        print_error(line)
    if report.failures:
        raise typer.Exit(FAILED_EXIT_CODE)


def _show(report: "SoakReport") -> None:
    from rich.table import Table

    by_fault: dict[str, list[FaultReport]] = defaultdict(list)
    for each in report.faults:
        by_fault[each.fault].append(each)
    table = Table(title=f"Faults in {report.seconds:.0f} s", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("fault")
    for column in ("times", "frames again after, longest"):
        table.add_column(column, justify="right")
    for fault, reports in sorted(by_fault.items()):
        seconds = [each.recovery_seconds for each in reports]
        never = seconds.count(None)
        longest = f"{max(each for each in seconds if each is not None):.1f} s" if never < len(seconds) else ""
        table.add_row(fault, str(len(reports)), ", ".join(filter(None, (longest, f"{never} times never" if never else ""))))
    out.print(table)
    for camera in report.cameras:
        counts = ", ".join(f"{name} {camera[name]}" for name in ("frames", "skipped", "corrupt", "unreadable", "reconnections", "events"))
        out.print(f"{camera['source_id']}: sent {report.sent[camera['source_id']]}, {counts}")
    if report.memory_mb:
        slope = ""
        if report.memory_slope is not None:
            slope = ", {:+.1f} MB an hour after warm-up ({:+.1f} to {:+.1f} with 95 %)".format(*report.memory_slope)
        out.print(f"memory: {max(report.memory_mb):.0f} MB at most{slope}; open files: {max(report.descriptors)} at most")
