"""`ringwatch build`: files in, a snapshot out, every row accounted for."""

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


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
    max_quarantine: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="Largest share of rows that may be left out.")
    ] = 0.05,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a snapshot: read, normalise, hash, quarantine what is bad, find hubs."""
    options = Options.of(workspace, seed, as_json)
    make_snapshot(options, spec, data=data, append=append, max_quarantine=max_quarantine)


def make_snapshot(
    options: Options,
    spec: Path,
    *,
    data: Path | None = None,
    append: bool = False,
    max_quarantine: float = 0.05,
    most_hubs: int = 10,
) -> None:
    """Build a snapshot and show the report.

    Args:
        options: The common options.
        spec: The spec's file.
        data: Where the files are; the spec's folder if None.
        append: Add to the current snapshot.
        max_quarantine: Largest share of rows that may be left out, 0 to 1.
        most_hubs: Hubs to list.
    """
    from graph_etl import Workspace
    from graph_etl.build import build
    from graph_etl.spec import load_spec

    screen = options.screen
    with screen.progress() as progress:
        report = build(
            load_spec(spec),
            Workspace(options.workspace),
            data_dir=data,
            append=append,
            max_quarantine=max_quarantine,
            seed=options.seed,
            progress=progress,
        )
    note = " (simulated data)" if report.simulated else ""
    screen.heading(f"{report.name}{note}: snapshot {report.snapshot_id} in {report.seconds:.1f} s")
    for table in report.tables(most_hubs):
        screen.table(table.columns, table.rows, title=table.title)
    screen.say(f"content hash {report.content_hash}")
    screen.finish(
        Outcome(
            "build",
            options.workspace,
            report.to_dict(),
            wrote=(report.path,),
            next_command=options.next_command("train"),
        )
    )
