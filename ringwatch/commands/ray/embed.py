"""`ringwatch ray embed`: embeddings of all accounts over a Ray cluster, as Parquet."""

from typing import Annotated

import typer

from ringwatch.commands.ray.options import AddressOption, StoreOption
from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("embed")(_embed)


def _embed(
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIR]",
            help="Folder or address that all nodes see  [default: in the workspace, by bundle and snapshot]",
            show_default=False,
        ),
    ] = None,
    address: AddressOption = None,
    store: StoreOption = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="All neighbours of an account, not only the latest, as the model was fitted with.",
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write account,bundle,embedding for every account; a killed run goes on from what is whole."""
    from gnn.embedding import folder_of
    from graph_etl import Workspace, WorkspaceError
    from ray_jobs import embed_over_ray

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    snapshot = place.open_snapshot()
    version = place.current()["bundle"]
    if version is None:
        message = f"{place.path}: no bundle yet; make one with `ringwatch train`"
        raise WorkspaceError(message)
    here = folder_of(place.path, version, snapshot.id, full=full)
    url = str(here.resolve()) if folder is None else folder
    with options.screen.progress() as progress:
        job = embed_over_ray(
            snapshot.path,
            place.path_of("bundle", version),
            url,
            full=full,
            address=address,
            store=store,
            progress=progress,
        )
    options.screen.say(f"{job.accounts:,} accounts embedded by {version}, in {job.blocks('part')} parts")
    options.screen.finish(
        Outcome(
            "ray embed",
            options.workspace,
            {"accounts": job.accounts, "bundle": version, "folder": url, "parts": job.blocks("part")},
            wrote=(),
            next_command=options.next_command(
                "similar", "ACCOUNT" if folder is None and not full else f"ACCOUNT --embeddings {url}"
            ),
        )
    )
