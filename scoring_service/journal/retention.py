"""Retention: what grows old is dropped by age and kind, the recorded features and answers before the rows."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, select, update

from graph_etl import LiveErasure, encode, kind_of
from scoring_service.database.tables import JOURNAL
from scoring_service.journal.erasure import EMPTY, Writing
from scoring_service.journal.statements import MARK, set_mark

What = Literal["features", "answers", "rows"]

_STEP: Final = 1_000
_PAUSE_S: Final = 0.001
EXPIRED: Final = "expired"
"""What stands in the place of an account in rows that grew too old."""

_EXPIRED: Final = LiveErasure(EXPIRED)
_ANSWER: Final = {name: None for name in EMPTY if name not in {"event_type", "account", "time_ms"}}


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """What of which rows is dropped at which age.

    Attributes:
        kind: Kind of the rows: ``event``, ``verdict``, ``cut`` or ``switch``.
        what: ``features``: the recorded head's columns; ``answers``: all that was recorded of the answer;
            ``rows``: what the row says too, once a published snapshot holds it.
        age_ms: Older rows lose it, milliseconds since they became known.
    """

    kind: Literal["event", "verdict", "cut", "switch"]
    what: What
    age_ms: int


@dataclass(frozen=True, slots=True)
class Retained:
    """What retention dropped.

    Attributes:
        features: Rows that lost their recorded features.
        answers: Rows that lost what was answered.
        rows: Rows that lost what they said.
        is_log_clean: Whether it left the database's log too.
    """

    features: int
    answers: int
    rows: int
    is_log_clean: bool


def retain(journal: Writing, rules: Iterable[RetentionRule], now_ms: int, held_seq: int) -> Retained:
    """Drop what is older than it may be. Stopped in the middle, the next call goes on where it was.

    Args:
        journal: The journal, opened for writing.
        rules: What is dropped at which age.
        now_ms: The time that ages count from.
        held_seq: Last row that a published snapshot holds: rows after it keep what they say.

    Returns:
        What was dropped.
    """
    dropped = {"features": 0, "answers": 0, "rows": 0}
    order = ("features", "answers", "rows")
    for rule in sorted(rules, key=lambda rule: order.index(rule.what)):
        mark = f"retained {rule.kind} {rule.what}"
        with journal.turn() as turn:
            found = turn.connection.execute(MARK, {"name_is": mark}).scalar()
            after_seq = 0 if found is None else int(bytes(found))
            until_seq = _last_before(turn.connection, now_ms - rule.age_ms, turn.last_seq)
        if rule.what == "rows":
            until_seq = min(until_seq, held_seq)
        while after_seq < until_seq:
            with journal.turn() as turn:
                through_seq = min(after_seq + _STEP, until_seq)
                dropped[rule.what] += _drop(turn.connection, rule, after_seq, through_seq)
                turn.connection.execute(set_mark(journal.database, mark, str(through_seq).encode()))
            after_seq = through_seq
            time.sleep(_PAUSE_S)
    is_log_clean = journal.clean_log() if any(dropped.values()) else True
    return Retained(**dropped, is_log_clean=is_log_clean)


def _drop(connection: Connection, rule: RetentionRule, after_seq: int, through_seq: int) -> int:
    c = JOURNAL.c
    rows = update(JOURNAL).where(c.seq > after_seq, c.seq <= through_seq, c.kind == rule.kind)
    values: dict[str, Any]
    if rule.what == "features":
        rows, values = rows.where(c.features.is_not(None)), {"features": None}
    elif rule.what == "answers":
        rows, values = rows.where(c.answer.is_not(None)), dict(_ANSWER)
    else:
        # The event's key stays: an id that comes again is a duplicate for good.
        values = {**EMPTY, "kind": kind_of(_EXPIRED), "payload": encode(_EXPIRED), "altered": 1}
    return connection.execute(rows.values(**values)).rowcount


def _last_before(connection: Connection, time_ms: int, last_seq: int) -> int:
    """Last row that became known before a time. Times never fall: halving finds it without an index."""
    low, high = 0, last_seq
    while low < high:
        middle = (low + high + 1) // 2
        known_ms = connection.execute(
            select(JOURNAL.c.received_ms).where(JOURNAL.c.seq == middle)
        ).scalar_one()
        low, high = (middle, high) if known_ms < time_ms else (low, middle - 1)
    return low
