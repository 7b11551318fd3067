"""`ringwatch neo4j verify`: does the database hold the current snapshot, all of it and nothing else?"""

from dataclasses import asdict
from typing import Any, Final

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

EXIT_DIFFERENT: Final = 3
"""The database is not as the snapshot."""


def add_to(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("verify")(_verify)


def _verify(
    uri: UriOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    database: DatabaseOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compare the database with the current snapshot and name what differs."""
    from graph_etl import Workspace
    from graph_etl.neo4j_store import verify

    options = Options.of(workspace, None, as_json)
    target = target_of(uri, username, password, database)
    place = Workspace(options.workspace)
    with options.screen.progress() as progress:
        report = verify(place.open_snapshot(), target, progress=progress)
    screen = options.screen
    screen.heading(f"{target.shown}: compared with snapshot {report.snapshot}")
    if report.comparisons:
        screen.table(
            ["", "snapshot", "database", "missing", "too many", "doubled", "changed", "content hash"],
            [
                [
                    one.name,
                    one.in_snapshot,
                    one.in_database,
                    one.missing,
                    one.extra,
                    one.doubled,
                    one.changed,
                    f"{one.database_hash:032x}"[:12],
                ]
                for one in report.comparisons
            ],
        )
    for one in report.comparisons:
        if one.other_in_degree or one.other_out_degree:
            screen.say(
                f"{one.name}: {one.other_in_degree:,} nodes with another in-degree,"
                f" {one.other_out_degree:,} with another out-degree"
            )
    for difference in report.differences:
        screen.say(f"  {difference}")
    if report.differing > sum(len(one.examples) for one in report.comparisons):
        screen.say(f"  and more of the same; {report.differing:,} differ in all")
    for note in report.notes:
        screen.note(f"note: {note}")
    screen.say(
        f"{'nothing differs' if report.clean else 'it is not as the snapshot'}; {report.seconds:.1f} s",
        style="bold",
    )
    result: dict[str, Any] = asdict(report) | {"clean": report.clean}
    for one in result["comparisons"]:
        one["snapshot_hash"], one["database_hash"] = (
            f"{one[f'{side}_hash']:032x}" for side in ("snapshot", "database")
        )
        del one["examples"]
    following = "load --repair" if report.differing else "write-back" if report.clean else "load"
    screen.finish(
        Outcome(
            "neo4j verify", options.workspace, result, next_command=options.next_command(f"neo4j {following}")
        )
    )
    return 0 if report.clean else EXIT_DIFFERENT
