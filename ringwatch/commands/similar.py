"""`ringwatch similar`: the accounts whose embeddings are nearest to one's."""

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("similar")(_similar)


def _similar(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="An account's id.")],
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Accounts to list.")] = 10,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            metavar="DIR",
            help="Folder of `ringwatch ray embed`  [default: that of the current bundle and snapshot]",
            show_default=False,
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with all accounts, without the index; needs no extra.")
    ] = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the accounts most like one, by the cosine of their embeddings; the first call makes an index."""
    import numpy as np

    from gnn.embedding import EmbeddingError, Embeddings, folder_of
    from gnn.similar import SimilarAccounts
    from gnn.similar import exact as nearest
    from graph_etl import Workspace, WorkspaceError

    options = Options.of(workspace, seed, as_json)
    if folder is None:
        place = Workspace(options.workspace)
        version = place.current()["bundle"]
        if version is None:
            message = f"{place.path}: no bundle yet; make one with `ringwatch train`"
            raise WorkspaceError(message)
        folder = folder_of(place.path, version, place.open_snapshot().id)
    embeddings = Embeddings.open(folder)
    try:
        row = np.array([embeddings.accounts.index(account)])
    except ValueError:
        message = f"{account!r} is no account of {embeddings.folder}; `ringwatch ray embed` embeds new ones"
        raise EmbeddingError(message) from None
    if exact:
        found, cosine = nearest(embeddings, row, top)
    else:
        with options.screen.progress() as progress:
            index = SimilarAccounts.of(embeddings, progress)
        found, cosine = index.like(row, top)
    rows = [
        {"account": embeddings.accounts[other], "cosine": round(float(value), 6)}
        for other, value in zip(found[0].tolist(), cosine[0].tolist(), strict=True)
        if other >= 0
    ]
    options.screen.heading(f"Accounts like {account}, by the embeddings of {embeddings.manifest['bundle']}")
    options.screen.table(["account", "cosine"], [[one["account"], f"{one['cosine']:.4f}"] for one in rows])
    options.screen.finish(
        Outcome(
            "similar",
            options.workspace,
            {"account": account, "bundle": embeddings.manifest["bundle"], "similar": rows},
            next_command=options.next_command("explain", str(rows[0]["account"]) if rows else account),
        )
    )
