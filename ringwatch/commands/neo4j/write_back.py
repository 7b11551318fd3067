"""`ringwatch neo4j write-back`: scores, rings and links of the current bundle and rings, in one switch."""

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
    group.command("write-back")(_write_back)


def _write_back(
    keep: Annotated[
        int, typer.Option(metavar="N", min=0, help="Earlier runs whose rings stay, as superseded.")
    ] = 10,
    uri: UriOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    database: DatabaseOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show scores, rings and links of the current bundle and rings in Neo4j, all at once."""
    from graph_etl import Workspace
    from graph_etl.neo4j_store import write_back
    from ringwatch.neo4j_results import gather_results
    from scoring_service import ServiceSettings
    from scoring_service.policy import load_policy

    options = Options.of(workspace, None, as_json)
    target = target_of(uri, username, password, database)
    place = Workspace(options.workspace)
    with options.screen.progress() as progress:
        results = gather_results(
            place, place.open_snapshot(), load_policy(ServiceSettings().policy), progress=progress
        )
        report = write_back(target, results, keep=keep, progress=progress)
    screen = options.screen
    screen.heading(f"{target.shown}: rings {report.run}, bundle {report.bundle}")
    screen.table(
        ["", "shown now", "new", "changed", "gone"],
        [
            ["scores", report.accounts, None, report.accounts_changed, report.accounts_cleared],
            ["rings", report.rings, report.rings_created, None, report.rings_superseded],
            ["links", report.links, report.links_created, report.links_changed, report.links_removed],
        ],
    )
    if report.rings_superseded or report.rings_forgotten:
        screen.say(
            f"{report.rings_superseded:,} rings superseded, {report.successions:,} times SUCCEEDED_BY; "
            f"{report.rings_forgotten:,} of runs before the last {keep} deleted"
        )
    screen.say(
        f"switched in {report.switch_s:.1f} s, {report.seconds:.1f} s in all"
        if report.changed
        else f"nothing to change; {report.seconds:.1f} s",
        style="bold",
    )
    screen.finish(
        Outcome(
            "neo4j write-back",
            options.workspace,
            asdict(report),
            next_command=options.next_command("neo4j queries"),
        )
    )
