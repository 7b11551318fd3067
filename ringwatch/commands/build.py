"""`ringwatch build`: files in, a snapshot out, every row accounted for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl import BuildReport, JournalReader


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("build")(_build)


def _build(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="YAML that maps your files (docs/spec.md).")],
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the files are, if not beside the spec.")
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add new files to the current snapshot; indices stay.")
    ] = False,
    no_journal: Annotated[
        bool, typer.Option("--no-journal", help="Leave out what the service accepted.")
    ] = False,
    max_quarantine: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="Largest share of rows that may be left out.")
    ] = 0.05,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a snapshot: read, normalise, hash, quarantine what is bad, find hubs."""
    options = Options.of(workspace, seed, as_json)
    make_snapshot(
        options, spec, data=data, append=append, no_journal=no_journal, max_quarantine=max_quarantine
    )


def make_snapshot(
    options: Options,
    spec: Path,
    *,
    data: Path | None = None,
    append: bool = False,
    no_journal: bool = False,
    max_quarantine: float = 0.05,
    most_hubs: int = 10,
) -> None:
    """Build a snapshot and show the report.

    Args:
        options: The common options.
        spec: The spec's file.
        data: Where the files are; the spec's folder if None.
        append: Add to the current snapshot.
        no_journal: Leave out what the service accepted.
        max_quarantine: Largest share of rows that may be left out, 0 to 1.
        most_hubs: Hubs to list.
    """
    from graph_etl import Workspace
    from graph_etl.build import build
    from graph_etl.spec import load_spec

    screen = options.screen
    with journal_if_any(options.workspace, wanted=not no_journal) as journal, screen.progress() as progress:
        report = build(
            load_spec(spec),
            Workspace(options.workspace),
            data_dir=data,
            append=append,
            journal=journal,
            max_quarantine=max_quarantine,
            seed=options.seed,
            progress=progress,
        )
    show_report(options, "build", report, most_hubs=most_hubs)


def show_report(options: Options, command: str, report: "BuildReport", *, most_hubs: int = 10) -> None:
    """Show what a build made.

    Args:
        options: The common options.
        command: Name of the command, as its result is called.
        report: What was made.
        most_hubs: Hubs to list.
    """
    screen = options.screen
    note = " (simulated data)" if report.simulated else ""
    screen.heading(f"{report.name}{note}: snapshot {report.snapshot_id} in {report.seconds:.1f} s")
    for table in report.tables(most_hubs):
        screen.table(table.columns, table.rows, title=table.title)
    for warning in report.warnings:
        screen.note(f"warning: {warning}")
    screen.say(f"content hash {report.content_hash}")
    screen.finish(
        Outcome(
            command,
            options.workspace,
            report.to_dict(),
            wrote=(report.path,),
            next_command=options.next_command("train"),
        )
    )


@contextmanager
def journal_if_any(workspace: Path, *, wanted: bool = True) -> "Iterator[JournalReader | None]":
    """Open what the service accepted, for reading; a running service goes on writing.

    Args:
        workspace: The workspace.
        wanted: Whether to look for it at all.

    Yields:
        The journal; None if there is none.
    """
    from ringwatch.settings import settings

    url = settings().database_url
    # Looked at before the service is loaded, which takes a second: most builds have none beside them.
    if not wanted or (url is None and not (workspace / "state.db").exists()):
        yield None
        return
    from ringwatch.journals import open_journal
    from scoring_service.journal import JournalMissing

    try:
        journal = open_journal(workspace)
    except JournalMissing:
        yield None
        return
    with journal:
        yield journal
