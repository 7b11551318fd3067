"""`ringwatch export`: scores, rings or embeddings as a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    import polars as pl

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="Written as CSV or Parquet, by its ending.")
]
HeldOutOption = Annotated[
    bool,
    typer.Option(
        "--held-out", help="Scores by models fitted without the account's fold, as an evaluation needs."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(
        help="Write scores, rings or embeddings as CSV or Parquet.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("scores")(_scores)
    group.command("rings")(_rings)
    group.command("embeddings")(_embeddings)
    app.add_typer(group, name="export")


def _scores(
    file: FileArgument,
    held_out: HeldOutOption = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write account,score,percentile,decision,ring for every account."""
    from graph_etl import Workspace
    from ringwatch.tables import check_ending, score_table

    check_ending(file)
    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    with options.screen.progress() as progress:
        progress("scoring all accounts", 0, 1)
        table = score_table(place, place.open_snapshot(), held_out=held_out)
    _finish(options, "export scores", table, file, options.next_command("evaluate", "--truth FILE"))


def _rings(
    file: FileArgument,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write ring,account,role,rank,ring_score for every member of a ring, rank 1 first."""
    from graph_etl import Workspace
    from ringwatch.tables import check_ending, ring_table

    check_ending(file)
    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    table = ring_table(place, place.open_snapshot())
    _finish(options, "export rings", table, file, options.next_command("serve"))


def _embeddings(
    file: FileArgument,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write account,e0,e1,… for every account: GraphSAGE's embedding."""
    from graph_etl import Workspace
    from ringwatch.tables import check_ending, embedding_table

    check_ending(file)
    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    with options.screen.progress() as progress:
        progress("embedding all accounts", 0, 1)
        table = embedding_table(place, place.open_snapshot())
    _finish(options, "export embeddings", table, file, options.next_command("export", "scores FILE"))


def _finish(options: Options, command: str, table: "pl.DataFrame", file: Path, following: str) -> None:
    from ringwatch.tables import write_table

    write_table(table, file)
    options.screen.say(
        f"{len(table):,} rows of {','.join(table.columns[:8])}{',…' if table.width > 8 else ''}"
    )
    options.screen.finish(
        Outcome(
            command,
            options.workspace,
            {"rows": len(table), "columns": table.columns, "file": str(file)},
            wrote=(file,),
            next_command=following,
        )
    )
