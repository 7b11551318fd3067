"""`ringwatch ray submit`: a command as a job of a cluster, its lines here, its exit status kept."""

import sys
from typing import Annotated

import typer

from ringwatch.console import Screen


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("submit", context_settings={"allow_interspersed_args": False})(_submit)


def _submit(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="What the job runs, after two dashes.")
    ],
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The cluster's job server  [env: RAY_API_SERVER_ADDRESS; default: http://127.0.0.1:8265]",
            show_default=False,
        ),
    ] = None,
    job_id: Annotated[
        str | None,
        typer.Option("--id", metavar="NAME", help="Id of the job; one that is there already is followed."),
    ] = None,
    working_dir: Annotated[
        str | None,
        typer.Option(
            "--working-dir", metavar="DIR", help="Folder to copy to the job, a checkout for example."
        ),
    ] = None,
) -> None:
    """Run a command on a cluster, show what it prints, leave with its exit status."""
    from ray_jobs.submission import submit

    screen = Screen()

    def started(identity: str, where: str, known: bool) -> None:
        screen.note(
            f"job {identity} {'is followed' if known else 'runs'} on {where}; Ctrl-C leaves it running,"
            f" `ringwatch ray submit --address {where} --id {identity} -- -` follows it again"
        )

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    code = submit(
        command, address=address, job_id=job_id, working_dir=working_dir, write=write, started=started
    )
    screen.note(f"exit status {code}")
    raise typer.Exit(code)
