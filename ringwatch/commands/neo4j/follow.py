"""`ringwatch neo4j follow`: what is accepted, in Neo4j moments later, with its lag shown."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ringwatch.commands.neo4j.options import (
    DatabaseOption,
    PasswordOption,
    UriOption,
    UsernameOption,
    target_of,
)
from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl.neo4j_store import Lag


def add_to(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("follow")(_follow)


def _follow(
    once: Annotated[bool, typer.Option("--once", help="Catch up with the journal, then end.")] = False,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Show the lag at most so often.")
    ] = 10.0,
    uri: UriOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    database: DatabaseOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write new events and verdicts of the journal into Neo4j, until Ctrl-C."""
    from graph_etl import Workspace
    from graph_etl.neo4j_store import follow
    from ringwatch.journals import open_journal

    options = Options.of(workspace, None, as_json)
    target = target_of(uri, username, password, database)
    screen = options.screen
    with open_journal(options.workspace) as journal, _stopped_by_signals() as stop:
        report = follow(
            target,
            Workspace(options.workspace),
            journal,
            once=once,
            stop=stop,
            tombstone=journal.salt.tombstone,
            tell=_LagLines(screen, every),
            note=screen.note,
        )
    holds = f"snapshot {report.snapshot} and the journal up to row {report.journal_seq:,}"
    screen.heading(f"{target.shown}: {holds}")
    screen.say(
        f"{report.rows:,} rows taken in {report.seconds:.1f} s; {_behind(report.rows_behind)};"
        f" slowest {report.slowest_s:.1f} s from acceptance to Neo4j"
    )
    screen.finish(Outcome("neo4j follow", options.workspace, asdict(report)))


class _LagLines:
    """Says how far Neo4j is behind: when it changed, and not more often than asked for."""

    def __init__(self, screen: Screen, every_s: float) -> None:
        self._screen = screen
        self._every_s = every_s
        self._due_s = 0.0
        self._said: tuple[int, int] | None = None

    def __call__(self, lag: "Lag") -> None:
        """Take in how far it is behind now."""
        seen = (lag.seq, lag.rows_behind)
        if seen == self._said or time.monotonic() < self._due_s:
            return
        self._said, self._due_s = seen, time.monotonic() + self._every_s
        late = f", {lag.seconds_behind:.1f} s" if lag.rows_behind else ""
        self._screen.say(f"row {lag.seq:,} of the journal is in; {_behind(lag.rows_behind)}{late}")


def _behind(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'} behind"


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that a transaction in hand is still finished."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
