"""The command line. Each verb has a file of its own and imports what it needs when it is called."""

from __future__ import annotations

import sys
import traceback

import typer

from tinymlsec.cli import assess, compare, demo, doctor, explain, export_c, init, listing, measure, report, scan, traces
from tinymlsec.cli.interrupted import RunInterrupted
from tinymlsec.errors import TinymlsecError

EXIT_INTERRUPTED, EXIT_INTERNAL = 130, 70

app = typer.Typer(
    name="tinymlsec",
    help="Security assessment of machine learning on microcontrollers: a .tflite and a board go in, every known class "
    "of attack is tried or reasoned on them, and a scored report comes out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("assess")(assess.assess)
app.command("report")(report.report)
app.command("init")(init.init)
app.command("demo")(demo.demo)
app.command("list")(listing.listing)
app.command("explain")(explain.explain)
app.command("doctor")(doctor.doctor)
app.command("scan")(scan.scan)
app.command("compare")(compare.compare)
app.command("export-c")(export_c.export_c)
app.command("measure")(measure.measure)
app.add_typer(traces.app, name="traces")


def _version(value: bool) -> None:
    if value:
        from tinymlsec import __version__

        typer.echo(f"tinymlsec {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code.

    0: nothing at or above --fail-on; 1: findings; 2: usage or bad input; 3: nothing could be run; 70: a defect of
    ours, which must not look like findings; 130: interrupted.
    """
    try:
        code = app(args=arguments, standalone_mode=False)
    except TinymlsecError as error:
        from tinymlsec.cli.terminal import plain

        # Words of files from strangers stand in it: none of their control characters reaches the terminal.
        typer.echo("\n".join(plain(line, 2000) for line in f"error: {error}".split("\n")), err=True)
        sys.exit(error.exit_code)
    except RunInterrupted as interrupted:
        typer.echo(f"interrupted; the same command with -o {interrupted} --resume goes on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except SystemExit as ended:
        # The option parser makes exit 1 of a closed pipe, after wrapping the streams; 1 would look like findings.
        closed = type(sys.stdout).__name__ == "PacifyFlushWrapper"
        sys.exit(0 if closed else ended.code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; nothing more to say
        sys.exit(0)
    except Exception as error:
        show = getattr(error, "show", None)  # usage errors of the option parser
        if show is None:
            traceback.print_exc()
            typer.echo("internal error: this is a defect of tinymlsec, please report it with the lines above", err=True)
            sys.exit(EXIT_INTERNAL)
        show()
        sys.exit(int(getattr(error, "exit_code", 2)))
    if code == EXIT_INTERRUPTED:
        typer.echo("interrupted", err=True)
    sys.exit(code if isinstance(code, int) else 0)
