"""`ringwatch ray etl`: the snapshot of `ringwatch build`, byte for byte, from tasks of bounded memory."""

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.commands.build import journal_if_any, show_report
from ringwatch.commands.ray.options import AddressOption
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("etl")(_etl)


def _etl(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="YAML that maps your files (docs/spec.md).")],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="Where the files are, if not beside the spec: a folder, or an address in a store (s3://…,"
            " any address of fsspec).",
        ),
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
    rows: Annotated[
        int,
        typer.Option(
            metavar="N", min=1_000, help="Rows of one task of the merge, about; its memory grows with it."
        ),
    ] = 1 << 20,
    address: AddressOption = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a snapshot over a cluster, in memory bounded by the part; a killed run goes on where it was."""
    from graph_etl import Workspace
    from graph_etl.bounded import Bounds
    from graph_etl.spec import load_spec
    from ray_jobs import etl_over_ray

    options = Options.of(workspace, seed, as_json)
    screen = options.screen
    with journal_if_any(options.workspace, wanted=not no_journal) as journal, screen.progress() as progress:
        report = etl_over_ray(
            load_spec(spec),
            Workspace(options.workspace),
            address=address,
            data=data,
            append=append,
            journal=journal,
            max_quarantine=max_quarantine,
            seed=options.seed,
            bounds=Bounds(rows),
            progress=progress,
        )
    show_report(options, "ray etl", report)
