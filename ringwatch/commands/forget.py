"""`ringwatch forget`: erase an account from journal and live graph, and leave it out of the next build."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl import Workspace

KEY_VARIABLE: Final = "RINGWATCH_API_KEY"
_ANSWER_WITHIN_S: Final = 600.0
# Folders of a workspace with what commands over a cluster wrote for all accounts.
_DERIVED: Final = ("embeddings", "ray")


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("forget")(_forget)


def _forget(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id, as the platform knows it.")],
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Ask the service that writes the journal; its key in RINGWATCH_API_KEY."
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase an account: journal, live graph, recorded answers, and the builds to come."""
    from graph_etl import Workspace

    options = Options.of(workspace, seed, as_json)
    result = _ask(url, account) if url is not None else _erase(Workspace(options.workspace), account)
    result["folders"] = [
        str(options.workspace / name) for name in _DERIVED if _holds(options.workspace / name)
    ]
    screen = options.screen
    screen.say(
        f"receipt {result['receipt_id']}: {result['rows_erased']:,} rows of the journal erased, "
        f"{result['rows_altered']:,} rows and {result['answers_scrubbed']:,} answers of others altered"
    )
    holding = result["snapshots"]
    if holding:
        screen.say(
            f"{len(holding)} snapshots on disk still hold the account ({', '.join(holding)}); refresh, then "
            "delete them"
        )
    for folder in result["folders"]:
        screen.say(
            f"{folder} was computed from them and may name the account; delete it, it can be made again"
        )
    follow = options.next_command("refresh") if holding else None
    screen.finish(Outcome("forget", options.workspace, result, next_command=follow))


def _holds(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _ask(url: str, account: str) -> dict[str, Any]:
    """Have a running service do it."""
    from graph_etl.errors import RingwatchError

    path = f"/v1/accounts/{urllib.parse.quote(account, safe='')}"
    request = urllib.request.Request(url.rstrip("/") + path, method="DELETE")
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if key:
        request.add_header("authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN_S) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:500]
        message = f"{url}: answered {error.code}: {said}"
    except OSError as error:
        message = f"{url}: cannot be reached ({error}); is `ringwatch serve` running there?"
    raise RingwatchError(message)


def _erase(place: "Workspace", account: str) -> dict[str, Any]:
    """Do it here, while no service writes the journal."""
    from graph_etl import Hasher, forget
    from graph_etl.errors import RingwatchError
    from graph_etl.identifiers import account_key
    from ringwatch.journals import open_journal
    from scoring_service.erasure.schemas import ErasureReceipt
    from scoring_service.journal import JournalInUse

    spec = place.open_snapshot().spec
    hasher = Hasher.from_env(required=True) if spec.needs_key else None
    key = account_key(spec, account, hasher or Hasher())
    until_ms = time.time_ns() // 1_000_000
    try:
        with open_journal(Path(place.path), read_only=False) as journal:
            receipt = journal.erase(key, also_named=(account,))
            for row in journal.rows(max(0, journal.last_seq() - 1)):
                until_ms = max(until_ms, row.received_ms)
    except JournalInUse:
        message = (
            f"{place.path}: a service writes the journal; ask it: `ringwatch forget ACCOUNT --url "
            "http://127.0.0.1:8000`"
        )
        raise RingwatchError(message) from None
    forgotten = forget(place, spec, [account], hasher, until_ms)
    return ErasureReceipt.of(receipt, forgotten).model_dump()
