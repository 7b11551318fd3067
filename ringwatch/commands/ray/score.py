"""`ringwatch ray score`: scores of all accounts over a Ray cluster, bit for bit those of `export scores`."""

import shutil
from functools import partial
from typing import Annotated

import typer

from ringwatch.commands.export import FileArgument, HeldOutOption
from ringwatch.commands.ray.options import AddressOption, StoreOption
from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("score")(_score)


def _score(
    file: FileArgument,
    address: AddressOption = None,
    store: StoreOption = None,
    chunk: Annotated[
        int, typer.Option(metavar="N", min=1, help="Accounts of one task; changes memory, not scores.")
    ] = 16_384,
    held_out: HeldOutOption = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write account,score,percentile,decision,ring for every account; a killed run goes on where it was."""
    from graph_etl import Workspace
    from ray_jobs import score_over_ray
    from ringwatch.tables import check_ending, score_table, write_table

    check_ending(file)
    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    parts = place.path / "ray" / "scores"
    with options.screen.progress() as progress:
        by = partial(
            score_over_ray,
            address=address,
            store=store,
            chunk_accounts=chunk,
            parts=parts,
            progress=progress,
        )
        table = score_table(place, place.open_snapshot(), held_out=held_out, by=by)
    write_table(table, file)
    # They were for a run that is cut short; this one is whole.
    shutil.rmtree(parts, ignore_errors=True)
    options.screen.say(f"{len(table):,} rows of {','.join(table.columns)}")
    options.screen.finish(
        Outcome(
            "ray score",
            options.workspace,
            {"rows": len(table), "columns": table.columns, "file": str(file)},
            wrote=(file,),
            next_command=options.next_command("evaluate", "--truth FILE"),
        )
    )
