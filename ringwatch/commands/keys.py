"""`ringwatch keys`: who may call the service, and what they may do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from scoring_service.keys import ApiKey, KeyRepository


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True, rich_markup_mode=None)
    group.command("create")(_create)
    group.command("list")(_list)
    group.command("revoke")(_revoke)
    app.add_typer(group, name="keys")


def _create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="score, label, read or admin (all of them); several times for several.",
        ),
    ],
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and show its token, this once."""
    options = Options.of(workspace, seed, as_json)
    with _keys(options) as keys:
        key, token = keys.create(name, scope)
    options.screen.say(token)
    options.screen.note("The token is shown only now: keep it where you keep secrets. Callers send it as")
    options.screen.note("Authorization: Bearer TOKEN")
    # Nothing else goes to stdout, so that TOKEN=$(ringwatch keys create ...) holds the token alone.
    options.screen.finish(Outcome("keys create", options.workspace, {**_shown(key), "token": token}))


def _list(workspace: WorkspaceOption = None, seed: SeedOption = None, as_json: JsonOption = False) -> None:
    """List the keys, also those that are revoked."""
    options = Options.of(workspace, seed, as_json)
    with _keys(options) as keys:
        found = [_shown(key) for key in keys.all()]
    options.screen.table(
        ["key", "scopes", "made", "revoked"],
        [[key["name"], " ".join(key["scopes"]), key["created"], key["revoked"]] for key in found],
    )
    follow = None if found else options.next_command("keys create", "NAME --scope score")
    options.screen.finish(Outcome("keys list", options.workspace, {"keys": found}, next_command=follow))


def _revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key.")],
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a key out of use, for good; a service that runs sees it within a second."""
    options = Options.of(workspace, seed, as_json)
    with _keys(options) as keys:
        key = keys.revoke(name)
    options.screen.say(f"key {name} is revoked")
    options.screen.finish(
        Outcome("keys revoke", options.workspace, _shown(key), next_command=options.next_command("keys list"))
    )


@contextmanager
def _keys(options: Options) -> Iterator["KeyRepository"]:
    """Open the keys where the service looks for them."""
    from ringwatch.journals import state_of
    from scoring_service.database import Database
    from scoring_service.keys import KeyRepository

    database = Database.open(state_of(options.workspace))
    try:
        yield KeyRepository(database)
    finally:
        database.close()


def _shown(key: "ApiKey") -> dict[str, Any]:
    """Return a key as `--json` shows it."""
    from scoring_service.keys import SCOPES

    return {
        "name": key.name,
        "scopes": [scope for scope in SCOPES if scope in key.scopes],
        "created": _iso(key.created_ms),
        "revoked": None if key.revoked_ms is None else _iso(key.revoked_ms),
    }


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
