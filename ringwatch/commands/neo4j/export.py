"""`ringwatch neo4j export`: files for `neo4j-admin database import`, and the command that reads them."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, WorkspaceOption


def add_to(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("export")(_export)


def _export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or an empty one.")],
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="NAME",
            help="The database to import into  [env: NEO4J_DATABASE; default: neo4j]",
            show_default=False,
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the current snapshot as files for a bulk import into an empty database."""
    from graph_etl import Workspace
    from graph_etl.neo4j_store import expected_bytes, export
    from ringwatch.settings import Neo4jSettings

    options = Options.of(workspace, None, as_json)
    screen = options.screen
    snapshot = Workspace(options.workspace).open_snapshot()
    screen.note(f"writes up to {expected_bytes(snapshot) / 1e6:,.0f} MB to {folder}")
    with screen.progress() as progress:
        report = export(
            snapshot, folder, database=database or Neo4jSettings().database or "neo4j", progress=progress
        )
    screen.heading(
        f"{report.nodes:,} nodes and {report.relationships:,} relationships in {report.files - 1} tables,"
        f" {report.n_bytes / 1e6:,.1f} MB, {report.seconds:.1f} s"
    )
    screen.say("on the machine of the stopped Neo4j, as the user that it runs as:")
    screen.say()
    screen.say(f"cd {shlex.quote(str(folder))}")
    screen.say(report.command)
    screen.say()
    screen.say(
        "`sh import.sh` in the folder is the same; then start Neo4j, load (for constraints) and verify"
    )
    screen.finish(
        Outcome(
            "neo4j export",
            options.workspace,
            asdict(report),
            wrote=(folder,),
            next_command=options.next_command("neo4j load"),
        )
    )
