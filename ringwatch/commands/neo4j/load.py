"""`ringwatch neo4j load`: make the database hold the current snapshot."""

from dataclasses import asdict
from typing import Annotated

import typer

from ringwatch.commands.neo4j.options import (
    DatabaseOption,
    PasswordOption,
    UriOption,
    UsernameOption,
    target_of,
)
from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, WorkspaceOption


def add_to(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("load")(_load)


def _load(
    repair: Annotated[
        bool, typer.Option("--repair", help="Compare with all that the database holds, and put it right.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change and write nothing.")
    ] = False,
    uri: UriOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    database: DatabaseOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what the current snapshot has and the database has not, and nothing else."""
    from graph_etl import Workspace
    from graph_etl.neo4j_store import load

    options = Options.of(workspace, None, as_json)
    target = target_of(uri, username, password, database)
    place = Workspace(options.workspace)
    with options.screen.progress() as progress:
        report = load(place.open_snapshot(), place, target, repair=repair, dry_run=dry_run, progress=progress)
    screen = options.screen
    screen.heading(f"{target.shown}: {'would hold' if dry_run else 'holds'} snapshot {report.snapshot}")
    if report.resumed:
        screen.say(f"went on with a load that had ended early: {report.skipped:,} batches were there")
    elif report.changed:
        against = {"nothing": "an empty database", "database": "what the database holds"}
        screen.say(f"compared with {against.get(report.base, f'snapshot {report.base}')}")
    screen.table(
        ["", "created", "updated", "deleted", "untouched"],
        [
            [name, counts.created, counts.updated, counts.deleted, counts.untouched]
            for name, counts in (
                ("nodes", report.nodes),
                ("relationships", report.relationships),
                ("verdicts", report.verdicts),
            )
        ],
    )
    ending = "nothing to change" if not report.changed else "nothing was written" if dry_run else "done"
    screen.say(f"{ending}; {report.seconds:.1f} s", style="bold")
    screen.finish(
        Outcome(
            "neo4j load",
            options.workspace,
            asdict(report) | {"changed": report.changed},
            next_command=options.next_command(f"neo4j {'load' if dry_run else 'verify'}"),
        )
    )
