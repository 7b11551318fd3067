"""The command `ringwatch`: reads arguments, calls one command, turns errors into one line.

Commands import the libraries that they need when they run, so that `ringwatch --help` is there at once.
Exit codes: 0 done, 1 an unexpected error, 2 bad input or usage, 130 stopped from the keyboard.
"""

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from typer.exceptions import TyperException

from ringwatch.commands import COMMANDS

EXIT_UNEXPECTED: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_STOPPED: Final = 130

app = typer.Typer(
    name="ringwatch",
    help="Finds rings of accounts that act together, scores every account and says why.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _common(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Find rings of accounts that act together, score every account and say why."""
    context.obj = debug


for _add in COMMANDS:
    _add(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The words after `ringwatch`; those of the process when None.

    Returns:
        0 when done, 1 after an unexpected error, 2 after bad input, 130 when stopped from the keyboard.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=words, prog_name="ringwatch", standalone_mode=False)
    except TyperException as error:
        show = getattr(error, "show", None)  # errors of usage show the usage too
        show() if show is not None else _print_error(error.format_message())
        return EXIT_BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        _print_error("stopped; what was finished is kept, the same command goes on from there")
        return EXIT_STOPPED
    except BrokenPipeError:
        return 0
    except Exception as error:
        return _explain(error, debug="--debug" in words)
    return code if isinstance(code, int) else 0


def _explain(error: Exception, *, debug: bool) -> int:
    """Print one line about `error`, with `debug` also where it arose; return its exit code."""
    from graph_etl.errors import RingwatchError

    if debug:
        traceback.print_exception(error)
    if isinstance(error, RingwatchError):
        _print_error(str(error))
        return EXIT_BAD_INPUT
    _print_error(f"unexpected {type(error).__name__}: {error} (`ringwatch --debug ...` shows where)")
    return EXIT_UNEXPECTED


def _print_error(message: str) -> None:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    # Threads that spin while they wait slow a busy machine down by far more than they speed up an idle one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Said by torch about torch-geometric at every import; nothing that a user could act upon.
    warnings.filterwarnings("ignore", message=".*torch\\.jit", category=FutureWarning)
    sys.exit(run())
