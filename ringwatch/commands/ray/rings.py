"""`ringwatch ray rings`: the run of `ringwatch rings`, its pieces spread over a Ray cluster."""

from functools import partial
from typing import Annotated

import typer

from ringwatch.commands.ray.options import AddressOption, StoreOption
from ringwatch.commands.rings import FullOption, TopOption, find_rings
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("rings")(_rings)


def _rings(
    address: AddressOption = None,
    store: StoreOption = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads of one piece of work; by the number of accounts."),
    ] = None,
    top: TopOption = 10,
    full: FullOption = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the rings of `ringwatch rings` on a Ray cluster; a run that was killed goes on where it was."""
    from graph_etl import Workspace
    from ray_jobs import rings_over_ray

    options = Options.of(workspace, seed, as_json)
    by = partial(
        rings_over_ray,
        workspace=Workspace(options.workspace),
        address=address,
        store=store,
        n_threads=threads,
    )
    find_rings(options, top=top, full=full, by=by, command="ray rings")
