"""`ringwatch hash`: the key under which the graph holds a raw identifier."""

import sys
from typing import Annotated

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("hash")(_hash)


def _hash(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="Kind of the identifier, such as device or ip.")
    ],
    value: Annotated[
        str | None,
        typer.Argument(
            metavar="[VALUE]",
            help="The raw identifier; from standard input, and so in no shell history, if left out.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the key of a raw identifier, to look it up in the graph."""
    from graph_etl import Workspace
    from graph_etl.identifiers import Hasher, keys_of
    from graph_etl.spec import ACCOUNT
    from graph_etl.spec.models import Spec

    options = Options.of(workspace, seed, as_json)
    snapshot = Workspace(options.workspace).open_snapshot()
    spec = Spec.model_validate(snapshot.manifest["spec"])
    raw = sys.stdin.readline().rstrip("\r\n") if value is None else value
    hasher = Hasher.from_env(required=False)
    expected = snapshot.manifest.get("key_fingerprint")
    if expected is not None and hasher.fingerprint != expected:
        options.screen.note(
            f"warning: RINGWATCH_HASH_KEY is not the key that snapshot {snapshot.id} was built with; "
            "its keys are others"
        )
    if kind == ACCOUNT:
        from graph_etl.identifiers import account_key

        keys = [(ACCOUNT, account_key(spec, raw, hasher))]
    else:
        keys = keys_of(spec, kind, raw, hasher)
    found = [
        {"kind": name, "key": key, "known": snapshot.node_index(name, key) is not None} for name, key in keys
    ]
    options.screen.say(keys[0][1])
    for entry in found:
        state = "in the graph" if entry["known"] else "not in the graph"
        options.screen.note(f"{entry['kind']} {entry['key']}: {state}")
    options.screen.finish(Outcome("hash", options.workspace, {"keys": found}))
