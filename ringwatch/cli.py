"""The command `ringwatch`: reads arguments, calls one command, turns errors into one line.

Commands import the libraries that they need when they run, so that `ringwatch --help` is there at once.
Exit codes: 0 done, 1 an unexpected error, 2 bad input or usage, 130 stopped from the keyboard.
"""

import sys
import traceback
from collections.abc import Sequence

import click
import typer

from ringwatch.commands import ask, make, models, show, tables

EXIT_UNEXPECTED, EXIT_BAD_INPUT, EXIT_STOPPED = 1, 2, 130

app = typer.Typer(
    name="ringwatch",
    help="Finds rings of accounts that act together, scores every account and says why.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
debug_wanted = False


@app.callback()
def _common(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Finds rings of accounts that act together, scores every account and says why."""
    global debug_wanted
    debug_wanted = debug


for module in (make, models, tables, show, ask):
    module.register(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The words after `ringwatch`; those of the process when None.

    Returns:
        0 when done, 1 after an unexpected error, 2 after bad input, 130 when stopped from the keyboard.
    """
    global debug_wanted
    debug_wanted = False
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="ringwatch", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        print_error("stopped; what was finished is kept and the same command goes on from there")
        return EXIT_STOPPED
    except Exception as error:
        return _explain(error)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    """Print one line about `error` and return the exit code that it deserves."""
    from graph_etl.errors import RingwatchError

    if debug_wanted:
        traceback.print_exception(error)
    if isinstance(error, RingwatchError):
        print_error(str(error))
        return EXIT_BAD_INPUT
    print_error(f"unexpected {type(error).__name__}: {error}. `ringwatch --debug …` shows where.")
    return EXIT_UNEXPECTED


def print_error(message: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    sys.exit(run())
