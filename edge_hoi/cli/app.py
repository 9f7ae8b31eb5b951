"""All commands.

Each command imports what it needs when it runs, so that `--help` is fast.
"""

import inspect
import re
import sys
import traceback
from typing import Annotated

import typer

from edge_hoi import __version__
from edge_hoi.cli import build_engine, calibrate, detect, discover, doctor, events, models, outbox, run, schema, signals, sinks, zones
from edge_hoi.cli.lab import bench, datasets, label, pretrain, render, soak, train, tune, verify
from edge_hoi.cli.lab import eval as evaluation
from edge_hoi.cli.terminal import Streams, err, print_error, show_logs
from edge_hoi.errors import EdgeHoiError

app = typer.Typer(
    name="edge-hoi",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # `main` prints tracebacks, with secrets masked
    pretty_exceptions_show_locals=False,  # they hold passwords
    rich_markup_mode=None,  # Rich would take `[build]` for markup, and squeezes texts into narrow columns
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=(
        "Detects human-object interactions (person riding bicycle) in live and recorded video with HOICLIP, and writes them as events "
        "with a start and an end. Start with `edge-hoi run`, which needs nothing else; then `edge-hoi run --source VIDEO`."
    ),
)
app.command("run")(run.run)
app.command("detect")(detect.detect)
app.command("build")(build_engine.build)
app.command("calibrate")(calibrate.calibrate)
app.command("verify")(verify.verify)
app.command("bench")(bench.bench)
app.command("soak")(soak.soak)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(datasets.app, name="datasets")
app.add_typer(discover.app, name="sources")
app.add_typer(sinks.app, name="sinks")
app.add_typer(zones.app, name="zones")
app.add_typer(outbox.app, name="outbox")
app.add_typer(schema.app, name="schema")
app.command("events")(events.events)
app.add_typer(render.app, name="render")
app.add_typer(train.app, name="train")
app.add_typer(pretrain.app, name="pretrain")
app.command("verb-classifier")(train.verb_classifier)
app.add_typer(evaluation.app, name="eval")
app.command("label")(label.label)
app.command("tune")(tune.tune)


def _set_help(commands: typer.Typer) -> None:
    """Keep line breaks of indented examples in help texts, and list commands with their complete first line."""
    for command in commands.registered_commands:
        text = inspect.cleandoc(command.help or inspect.getdoc(command.callback) or "")
        command.help = re.sub(r"\n\n(?=    )", "\n\n\b\n", text)  # click's mark of a paragraph that it must not wrap
        command.short_help = " ".join(text.partition("\n\n")[0].split())
    for group in commands.registered_groups:
        assert group.typer_instance is not None
        group.short_help = group.typer_instance.info.help
        _set_help(group.typer_instance)


_set_help(app)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"edge-hoi {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    _version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Hold the options that stand before a command."""
    context.obj.append(context.invoked_subcommand)
    if context.invoked_subcommand != "run":
        context.with_resource(signals.exit_on_signal())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        arguments: What follows the program's name; that of this process where None.

    Raises:
        SystemExit: Always; docs/exit-codes.md lists the codes.
    """
    commands: list[str] = []
    code = 0
    with Streams() as streams:
        show_logs()
        try:
            app(args=arguments, obj=commands)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except EdgeHoiError as error:
            print_error(str(error))
            code = error.exit_code
        except Exception:
            err.print(traceback.format_exc(), end="", soft_wrap=True)
            print_error("this is a defect of edge-hoi; please report it with the lines above")
            code = EdgeHoiError.exit_code
        code = streams.finish(code, shows_progress=commands == ["run"])
    sys.exit(code)
