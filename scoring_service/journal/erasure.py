"""Forget an account: its rows keep their places and lose what they say; others lose its name."""

import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from graph_etl import Content, LiveCut, LiveErasure, LiveEvent, LiveVerdict, decode, encode, kind_of
from graph_etl.spec import ACCOUNT
from scoring_service.database.engine import Database
from scoring_service.database.tables import ERASURES, IDEMPOTENCY, JOURNAL
from scoring_service.journal.entries import Entry
from scoring_service.rings.forgetting import forget_member

# A transaction looks through so many rows: some milliseconds in which no event can be committed.
_STEP: Final = 1_000
_PAUSE_S: Final = 0.001
# What stays when a row is emptied: its place, when it became known, and that its event's id is taken.
_STAYS: Final = frozenset({"seq", "received_ms", "kind", "event_key", "payload", "altered"})
EMPTY: Final[dict[str, None]] = dict.fromkeys(name for name in JOURNAL.c.keys() if name not in _STAYS)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure did; kept in the store, names nobody.

    Attributes:
        receipt_id: Its id.
        tombstone: What stands for the account from now on.
        rows_erased: Rows that were the account's: a tombstone is left.
        rows_altered: Rows of others that named it.
        answers_scrubbed: Recorded answers to others that named it.
        requests_dropped: Answers kept for an Idempotency-Key that were about it or named it.
        first_seq: First row that was erased; None if there was none.
        last_seq: Last row that was erased; None if there was none.
        erasure_seq: Row that says that an account was erased.
        started_ms: When it began.
        finished_ms: When it was done.
        is_log_clean: Whether what was overwritten left the database's log too. False: a reader was in the
            way; the next erasure or restart does it.
    """

    receipt_id: str
    tombstone: str
    rows_erased: int = 0
    rows_altered: int = 0
    answers_scrubbed: int = 0
    requests_dropped: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    erasure_seq: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    is_log_clean: bool = False


class Turn(Protocol):
    """One transaction of the journal's writer."""

    connection: Connection
    now_ms: int
    last_seq: int

    def keep(self, entries: Sequence[Entry]) -> list[Any]:
        """Keep entries in this transaction."""
        ...


class Writing(Protocol):
    """What an erasure needs of a journal."""

    database: Database

    def turn(self) -> AbstractContextManager[Turn]:
        """A transaction, all or nothing."""
        ...

    def clean_log(self) -> bool:
        """Take what was overwritten out of the database's log."""
        ...


def erase(journal: Writing, account: str, tombstone: str, names: Sequence[str]) -> Receipt:
    """Forget an account. Stopped in the middle, the same call goes on where it was.

    Args:
        journal: The journal, opened for writing.
        account: Key of the account.
        tombstone: What is left of it.
        names: Under what else answers name it; an id whose key is a hash, for example.

    Returns:
        What was done.
    """
    said = _Names((account, *names), tombstone)
    with journal.turn() as turn:
        receipt, after_seq = _begun(turn, tombstone)
    while True:
        with journal.turn() as turn:
            until_seq = min(after_seq + _STEP, turn.last_seq)
            receipt = _step(journal.database, turn.connection, account, said, after_seq, until_seq, receipt)
            after_seq = until_seq
            is_done = until_seq == turn.last_seq
            if is_done:
                dropped = _drop_requests(journal.database, turn.connection, said)
                forget_member(turn.connection, {account, *names}, tombstone, said.out_of_text)
                kept = turn.keep([Entry(LiveErasure(tombstone))])
                receipt = replace(
                    receipt,
                    requests_dropped=receipt.requests_dropped + dropped,
                    erasure_seq=kept[0].seq,
                    finished_ms=turn.now_ms,
                )
            _note(turn.connection, receipt, after_seq, is_done=is_done)
        if is_done:
            break
        # Events that wait for the writer's lock come in between.
        time.sleep(_PAUSE_S)
    receipt = replace(receipt, is_log_clean=journal.clean_log())
    with journal.turn() as turn:
        _note(turn.connection, receipt, after_seq, is_done=True)
    return receipt


def receipts(connection: Connection) -> Iterator[Receipt]:
    """Receipts of erasures that were finished, the oldest first."""
    wanted = select(ERASURES.c.receipt).where(ERASURES.c.finished_ms.is_not(None))
    for found in connection.execute(wanted.order_by(ERASURES.c.started_ms, ERASURES.c.receipt_id)).scalars():
        yield Receipt(**orjson.loads(bytes(found)))


def _begun(turn: Turn, tombstone: str) -> tuple[Receipt, int]:
    """The receipt of an erasure that was stopped, and how far it came; else a new one."""
    wanted = select(ERASURES.c.receipt, ERASURES.c.through_seq).where(
        ERASURES.c.tombstone == tombstone, ERASURES.c.finished_ms.is_(None)
    )
    found = turn.connection.execute(wanted).first()
    if found is not None:
        return Receipt(**orjson.loads(bytes(found.receipt))), found.through_seq
    receipt = Receipt(secrets.token_hex(8), tombstone, started_ms=turn.now_ms)
    turn.connection.execute(
        insert(ERASURES).values(
            receipt_id=receipt.receipt_id,
            tombstone=tombstone,
            started_ms=receipt.started_ms,
            through_seq=0,
            receipt=orjson.dumps(asdict(receipt)),
        )
    )
    return receipt, 0


def _note(connection: Connection, receipt: Receipt, through_seq: int, *, is_done: bool) -> None:
    connection.execute(
        update(ERASURES)
        .where(ERASURES.c.receipt_id == receipt.receipt_id)
        .values(
            through_seq=through_seq,
            finished_ms=receipt.finished_ms if is_done else None,
            receipt=orjson.dumps(asdict(receipt)),
        )
    )


def _step(
    database: Database,
    connection: Connection,
    account: str,
    names: "_Names",
    after_seq: int,
    until_seq: int,
    receipt: Receipt,
) -> Receipt:
    c = JOURNAL.c
    wanted = select(c.seq, c.kind, c.account, c.payload, c.answer).where(
        c.seq > after_seq,
        c.seq <= until_seq,
        or_(
            c.account == account,
            *(_holds(database, column, said) for column in (c.payload, c.answer) for said in names.needles),
        ),
    )
    erased: list[int] = []
    for row in connection.execute(wanted.order_by(c.seq)).all():
        content = decode(row.kind, bytes(row.payload))
        if row.account == account or (isinstance(content, LiveCut) and content.other == account):
            erased.append(row.seq)
            continue
        values: dict[str, Any] = {}
        left = names.out_of(content)
        if left != content:
            values |= {"payload": encode(left)}
            receipt = replace(receipt, rows_altered=receipt.rows_altered + 1)
        if row.answer is not None:
            answer = names.out_of_json(bytes(row.answer))
            if answer is not None:
                values |= {"answer": answer}
                receipt = replace(receipt, answers_scrubbed=receipt.answers_scrubbed + 1)
        if values:
            connection.execute(update(JOURNAL).where(c.seq == row.seq).values(altered=1, **values))
    if erased:
        left_of_it = LiveErasure(names.tombstone)
        connection.execute(
            update(JOURNAL)
            .where(c.seq.in_(erased))
            .values(kind=kind_of(left_of_it), payload=encode(left_of_it), altered=1, **EMPTY)
        )
        dropped = connection.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.seq.in_(erased))).rowcount
        receipt = replace(
            receipt,
            rows_erased=receipt.rows_erased + len(erased),
            requests_dropped=receipt.requests_dropped + dropped,
            first_seq=erased[0] if receipt.first_seq is None else receipt.first_seq,
            last_seq=erased[-1],
        )
    return receipt


def _drop_requests(database: Database, connection: Connection, names: "_Names") -> int:
    """Drop answers kept for an Idempotency-Key that name the account; there are only those of a day."""
    answer = IDEMPOTENCY.c.answer
    wanted = select(IDEMPOTENCY.c.use_key, answer).where(
        or_(*(_holds(database, answer, said) for said in names.needles))
    )
    named = [
        row.use_key
        for row in connection.execute(wanted).all()
        if names.out_of_json(bytes(row.answer)) is not None
    ]
    for start in range(0, len(named), _STEP):
        part = named[start : start + _STEP]
        connection.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.use_key.in_(part)))
    return len(named)


def _holds(database: Database, column: ColumnElement[Any], needle: bytes) -> ColumnElement[bool]:
    sought = literal(needle, LargeBinary)
    if database.is_sqlite:
        return func.instr(column, sought) > 0
    return func.position(sought.op("IN")(column)) > 0


class _Names:
    """Finds an account's names in what others said and puts its tombstone there.

    Args:
        names: The names.
        tombstone: What takes their place.
    """

    def __init__(self, names: Sequence[str], tombstone: str) -> None:
        self.tombstone = tombstone
        self._names = frozenset(names)
        # As JSON writes them: as they are, and with everything beyond ASCII escaped.
        self.needles = sorted(
            {orjson.dumps(name)[1:-1] for name in names} | {json.dumps(name)[1:-1].encode() for name in names}
        )
        # A longer id that begins or ends with a name is somebody else's.
        self._pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(names)))})(?![\w-])")

    def out_of(self, content: Content) -> Content:
        """What somebody else said, without the account."""
        match content:
            case LiveEvent():
                return replace(
                    content,
                    interactions=tuple(
                        one
                        for one in content.interactions
                        if not (one[1] == ACCOUNT and one[2] in self._names)
                    ),
                    attributes={
                        name: value for name, value in content.attributes.items() if value not in self._names
                    },
                )
            case LiveVerdict() | LiveCut() if content.reason is not None:
                return replace(content, reason=self.out_of_text(content.reason))
            case LiveErasure() if content.account in self._names:
                return LiveErasure(self.tombstone)
        return content

    def out_of_text(self, text: str) -> str:
        """A text with the tombstone for each name."""
        return self._pattern.sub(self.tombstone, text)

    def out_of_json(self, document: bytes) -> bytes | None:
        """A JSON document with the tombstone for each name; None if it names none."""
        try:
            words = orjson.loads(document)
        except orjson.JSONDecodeError:
            # Nobody can tell what it names.
            return b"null"
        left = self._out_of_words(words)
        return None if left == words else orjson.dumps(left)

    def _out_of_words(self, words: Any) -> Any:
        match words:
            case str():
                return self.out_of_text(words)
            case list():
                return [self._out_of_words(word) for word in words]
            case dict():
                return {self.out_of_text(name): self._out_of_words(word) for name, word in words.items()}
        return words
