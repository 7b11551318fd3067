"""Reading the journal into staged parts, a range of rows each, as a file is read once for all later builds.

An event is a row of its type: by its account, with its identifiers and, where its type is that of accounts,
its attributes. Each of its interactions is one row more, except that the first of the event's own type is the
event's row itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl.erasure import Erased
from graph_etl.errors import RingwatchError
from graph_etl.identity import row_names
from graph_etl.journal import (
    JournalRow,
    LiveCut,
    LiveErasure,
    LiveEvent,
    LiveVerdict,
    encode,
    kind_of,
)
from graph_etl.nodes import ACCOUNT
from graph_etl.parts import NODE_SCHEMA, Part, write_part
from graph_etl.quarantine import Notes, gathered
from graph_etl.snapshot import NO_TIME, node_hashes
from graph_etl.spec import JOURNAL
from graph_etl.staged_keys import account_aliases
from graph_etl.staging import part_name, staged_part
from graph_etl.workspace import fresh_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from graph_etl.identifiers import Hasher
    from graph_etl.journal import JournalReader
    from graph_etl.plan import Plan

ROWS_PER_PART = 65_536
"""Rows of one staged part: what is read again when the journal has grown, and what is held in memory."""

_ROW_COLUMNS: dict[str, Any] = {
    "row": pl.Int64,
    "time_ms": pl.Int64,
    "known_ms": pl.Int64,
    "type": pl.Int32,
    "src": pl.Int32,
    "dst": pl.Int32,
    "value": pl.Float32,
}
_VERDICT_COLUMNS: dict[str, Any] = {
    "row": pl.Int64,
    "account": pl.Int32,
    "label": pl.Int8,
    "known_ms": pl.Int64,
    "delayed": pl.Boolean,
    "reason": pl.String,
    "source": pl.String,
    "abuse_type": pl.String,
    "seq": pl.Int64,
}
_CUT_COLUMNS: dict[str, Any] = {
    "row": pl.Int64,
    "account": pl.Int32,
    "other": pl.Int32,
    "until_ms": pl.Int64,
    "known_ms": pl.Int64,
    "undone": pl.Boolean,
}
_LONGEST_NAME = 64
_LARGEST = float(np.finfo(np.float32).max)


class JournalOrderError(RingwatchError):
    """The journal has a gap, or its times fall."""


def stage_journal(
    plan: Plan,
    journal: JournalReader,
    staging: Path,
    hasher: Hasher | None,
    erased: Erased,
    tell: Callable[[str, int, int], None],
) -> Iterator[tuple[Part, bool]]:
    """Stage a journal up to the row that is its last when the work begins.

    Args:
        plan: The plan.
        journal: The journal.
        staging: Folder of staged parts.
        hasher: Hashes what is not public; None if nothing is.
        erased: Salts what is kept of rows that order an erasure.
        tell: Told what is done: the step, rows done, rows in all.

    Yields:
        Each part, and whether it was staged now.

    Raises:
        JournalOrderError: If the journal has a gap or its times fall.
    """
    last = journal.last_seq()
    known_ms = NO_TIME
    for start in range(0, last, ROWS_PER_PART):
        tell("reading the journal", start, last)
        stop = min(start + ROWS_PER_PART, last)
        rows = list(journal.rows(start, stop - start))
        known_ms = _checked(rows, start, stop, known_ms)
        fingerprint = _fingerprint(rows)
        key_fingerprint = f"{'' if hasher is None else hasher.fingerprint}:{erased.salt.hex()}"
        folder = staging / part_name(plan, JOURNAL, fingerprint, key_fingerprint)
        # Padded, so that parts sorted by name stand in the order of the rows.
        name = f"rows {start + 1:012d}-{stop:012d}"
        part = staged_part(folder, source=JOURNAL, file=name, fingerprint=fingerprint)
        fresh = part is None
        if part is None:
            with fresh_folder(folder) as partial:
                _Staging(plan, hasher, erased).write(rows, partial)
            part = Part.open(folder, source=JOURNAL, file=name, fingerprint=fingerprint)
        yield part, fresh


def last_seq(parts: Iterable[Part]) -> int:
    """The last row of the journal that parts hold.

    Args:
        parts: Parts of any source.

    Returns:
        Its ``seq``; 0 if no part is of the journal.
    """
    return max((int(part.meta["last_seq"]) for part in parts if part.source == JOURNAL), default=0)


def erasures(parts: Iterable[Part]) -> dict[str, int]:
    """The accounts that the journal orders to forget.

    Args:
        parts: Parts of any source.

    Returns:
        For the salted hash of each account the time up to which it is forgotten.
    """
    found: dict[str, int] = {}
    for part in parts:
        if part.source == JOURNAL:
            for digest, until_ms in part.meta["erasures"]:
                found[digest] = max(until_ms, found.get(digest, until_ms))
    return found


def _checked(rows: Sequence[JournalRow], start: int, stop: int, known_ms: int) -> int:
    for due, row in enumerate(rows, start + 1):
        if row.seq != due:
            message = f"journal: row {due:,} is due, got row {row.seq:,}; restore the journal from its backup"
            raise JournalOrderError(message)
        if row.received_ms < known_ms:
            message = f"journal: row {row.seq:,} is older than the row before it; restore it from its backup"
            raise JournalOrderError(message)
        known_ms = row.received_ms
    if len(rows) != stop - start:
        message = f"journal: row {start + len(rows) + 1:,} is missing; restore the journal from its backup"
        raise JournalOrderError(message)
    return known_ms


def _fingerprint(rows: Sequence[JournalRow]) -> str:
    content = hashlib.sha256()
    for row in rows:
        payload = encode(row.content)
        content.update(f"{row.seq},{row.received_ms},{kind_of(row.content)},{len(payload)};".encode())
        content.update(payload)
    return content.hexdigest()


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """A row of the graph that a row of the journal makes.

    Attributes:
        seq: The journal's row.
        time_ms: When it happened; ``NO_TIME`` where the graph is untimed.
        type: Its type.
        src: Ordinal of the kind and key of the account whose event it is.
        dst: The other end, likewise; None for an event of one account alone.
        value: One, a count or an amount, as the type's relation says.
        used: The identifiers that the account used, likewise.
        lists_account: Whether it is a row of a source of accounts.
        attributes: What it says of the account.
    """

    seq: int
    time_ms: int
    type: str
    src: tuple[int, str]
    dst: tuple[int, str] | None
    value: float
    used: tuple[tuple[int, str], ...]
    lists_account: bool
    attributes: dict[str, float | str]


def events_of(plan: Plan, rows: Iterable[JournalRow]) -> list[JournalEvent]:
    """What a build makes of events of the journal, before it knows which accounts there are.

    Args:
        plan: The plan.
        rows: Rows in order.

    Returns:
        One for each row of the graph, in the order of their positions.
    """
    staging = _Staging(plan, None, Erased(b"", {}))
    for row in rows:
        if isinstance(row.content, LiveEvent):
            staging.take_event(row, row.content)
    return staging.events()


class _Nodes:
    """Numbers the nodes that the rows name by kind and key."""

    def __init__(self, plan: Plan, hasher: Hasher | None) -> None:
        self._plan, self._hasher = plan, hasher
        self._numbers: dict[tuple[int, str], int] = {}
        self._declared: set[int] = set()

    def number(self, kind: int, key: str, *, declared: bool = False) -> int:
        """The number of a node."""
        node = self._numbers.setdefault((kind, key), len(self._numbers))
        if declared:
            self._declared.add(node)
        return node

    def named(self) -> list[tuple[int, str]]:
        """Kind and key by number."""
        return list(self._numbers)

    def table(self) -> pl.DataFrame:
        """One row a node, columns as ``NODE_SCHEMA``."""
        kinds = np.array([kind for kind, _ in self._numbers], np.int16)
        keys = [key for _, key in self._numbers]
        names = np.zeros((len(keys), 2), np.uint64)
        for ordinal, kind in enumerate(self._plan.kinds):
            at = np.flatnonzero(kinds == ordinal)
            names[at] = node_hashes(kind.name, [keys[place] for place in at])
        declared = np.zeros(len(keys), np.bool_)
        declared[list(self._declared)] = True
        aliases = np.zeros((len(keys), 2), np.uint64)
        # Ids that are kept as hashes cannot be told from here by any other name.
        if self._plan.has_either and not self._plan.spec.account_ids.secret:
            listed = sorted(self._declared)
            aliases[listed] = account_aliases([keys[node] for node in listed], self._hasher)
        return pl.DataFrame(
            {
                "kind": kinds,
                "key": pl.Series(keys, dtype=pl.String),
                "low": names[:, 0].copy(),
                "high": names[:, 1].copy(),
                "declared": declared,
                "either": np.zeros(len(keys), np.bool_),
                "alias_low": aliases[:, 0].copy(),
                "alias_high": aliases[:, 1].copy(),
            },
            schema=NODE_SCHEMA,
        )


class _Rows:
    """The rows that go into one mapping, as they come."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.event_ids: list[str | None] = []
        self.of_types: list[str] = []
        self.ordinals: list[int] = []
        self.contents: list[bytes] = []
        self.types: dict[str, int] = {}
        self.used: list[tuple[int, int]] = []
        self.attributes: list[tuple[Any, ...]] = []

    def tables(self, name: str, attributes: dict[str, Any]) -> dict[str, pl.DataFrame]:
        """The staged tables of a mapping."""
        if not self.rows:
            return {}
        rows = pl.DataFrame(self.rows, schema=_ROW_COLUMNS, orient="row")
        identity = self._identity(rows["row"].to_numpy())
        content = np.frombuffer(b"".join(self.contents), np.uint64).reshape(-1, 2)
        halves = {
            f"{word}_{half}": names[:, at].copy()
            for word, names in (("identity", identity), ("content", content))
            for at, half in enumerate(("low", "high"))
        }
        tables = {f"{name}.rows": rows.with_columns(**{k: pl.Series(v) for k, v in halves.items()})}
        tables[f"{name}.used"] = pl.DataFrame(
            self.used, schema={"at": pl.Int64, "node": pl.Int32}, orient="row"
        )
        if attributes:
            tables[f"{name}.attributes"] = pl.DataFrame(self.attributes, schema=attributes, orient="row")
        return tables

    def _identity(self, seq: NDArray[np.int64]) -> NDArray[np.uint64]:
        """An event is its type and its id, as in a file; without an id it is its row."""
        tag = np.broadcast_to(node_hashes("source", [JOURNAL]), (len(seq), 2))
        ordinals = np.array(self.ordinals, np.int64)
        identity = row_names([tag, seq, ordinals], len(seq))
        given = np.array([at for at, one in enumerate(self.event_ids) if one is not None], np.int64)
        types = node_hashes("type", [self.of_types[at] for at in given])
        ids = node_hashes("event", [self.event_ids[at] or "" for at in given])
        own = ordinals[given] == 0
        identity[given[own]] = row_names([types[own], ids[own]], int(own.sum()))
        more = ~own
        identity[given[more]] = row_names(
            [types[more], ids[more], tag[given[more]], ordinals[given[more]]], int(more.sum())
        )
        return identity


class _Staging:
    """Stages one range of the journal."""

    def __init__(self, plan: Plan, hasher: Hasher | None, erased: Erased) -> None:
        self._plan, self._hasher, self._erased = plan, hasher, erased
        self._nodes = _Nodes(plan, hasher)
        self._kinds = {kind.name: ordinal for ordinal, kind in enumerate(plan.kinds)}
        self._used_kinds = frozenset(plan.identifier_kinds)
        of_files = [mapping for mapping in plan.events if mapping.source != JOURNAL]
        constants = [mapping for mapping in of_files if isinstance(mapping.type, str)]
        self._listing = frozenset(mapping.type for mapping in constants if mapping.lists_accounts)
        self._types = frozenset(mapping.type for mapping in constants)
        self._values = {m.type: m.value for m in reversed(constants) if m.dst is not None}
        spread = [mapping for mapping in of_files if not isinstance(mapping.type, str)]
        self._any_listing = any(mapping.lists_accounts for mapping in spread)
        self._any_type = bool(spread)
        self._any_value = next((mapping.value for mapping in spread if mapping.dst is not None), None)
        self._attributes = {attribute.name: attribute.type for attribute in plan.attributes}
        self._rows = {name: _Rows() for name in ("accounts", "events", "interactions")}
        self._verdicts: list[tuple[Any, ...]] = []
        self._cuts: list[tuple[Any, ...]] = []
        self._erasures: list[tuple[str, int]] = []
        self._counts = dict.fromkeys(
            ("accounts", "events", "interactions", "verdicts", "cuts", "switches", "erasures"), 0
        )
        self._out: dict[tuple[str, str], list[int]] = {}
        self._cells: dict[tuple[str, str, str], list[int]] = {}

    def write(self, rows: Sequence[JournalRow], folder: Path) -> None:
        """Stage rows into an empty folder."""
        for row in rows:
            self._take(row)
        tables = {"nodes": self._nodes.table(), "quarantine": self._quarantine()}
        schema = {
            name: pl.String if kind == "category" else pl.Float64 for name, kind in self._attributes.items()
        }
        for name, found in self._rows.items():
            tables |= found.tables(name, schema if name == "accounts" else {})
        tables["verdicts.rows"] = pl.DataFrame(self._verdicts, schema=_VERDICT_COLUMNS, orient="row")
        tables["cuts.rows"] = pl.DataFrame(self._cuts, schema=_CUT_COLUMNS, orient="row")
        meta = {
            "source": JOURNAL,
            "rows": len(rows),
            "last_seq": rows[-1].seq,
            "erasures": self._erasures,
            "mappings": {
                name: {
                    "rows": count,
                    "silent": 0,
                    "types": list(self._rows[name].types) if name in self._rows else [],
                }
                for name, count in self._counts.items()
            },
        }
        write_part(folder, tables, meta)

    def events(self) -> list[JournalEvent]:
        """The rows of the graph that were made, in the order of their positions."""
        nodes = self._nodes.named()
        found: list[tuple[int, int, JournalEvent]] = []
        for name, made in self._rows.items():
            types = list(made.types)
            used: dict[int, list[tuple[int, str]]] = {}
            for at, node in made.used:
                used.setdefault(at, []).append(nodes[node])
            for at, (seq, time_ms, _, code, src, dst, value) in enumerate(made.rows):
                told = zip(self._attributes, made.attributes[at], strict=True) if made.attributes else ()
                event = JournalEvent(
                    seq=seq,
                    time_ms=time_ms,
                    type=types[code],
                    src=nodes[src],
                    dst=None if dst < 0 else nodes[dst],
                    # As the edges of a snapshot hold it.
                    value=float(np.float32(value)),
                    used=tuple(dict.fromkeys(used.get(at, ()))),
                    lists_account=name == "accounts",
                    attributes={one: given for one, given in told if given is not None},
                )
                found.append((seq, made.ordinals[at], event))
        found.sort(key=lambda one: one[:2])
        return [event for _, _, event in found]

    def _take(self, row: JournalRow) -> None:
        match row.content:
            case LiveEvent() as event:
                self.take_event(row, event)
            case LiveVerdict() as verdict:
                self._counts["verdicts"] += 1
                account = self._nodes.number(ACCOUNT, verdict.account)
                label = -1 if verdict.label is None else verdict.label
                # As live scoring saw it: known when it was received, whatever time it tells of.
                words = (verdict.reason, verdict.source, verdict.abuse_type)
                self._verdicts.append((row.seq, account, label, row.received_ms, False, *words, row.seq))
            case LiveCut() as cut:
                self._counts["cuts"] += 1
                ends = (self._nodes.number(ACCOUNT, cut.account), self._nodes.number(ACCOUNT, cut.other))
                self._cuts.append((row.seq, *ends, cut.until_ms, row.received_ms, cut.undone))
            case LiveErasure() as erasure:
                self._counts["erasures"] += 1
                self._erasures += [(one, row.received_ms) for one in self._digests(erasure.account)]
            case _:
                self._counts["switches"] += 1

    def _digests(self, account: str) -> list[str]:
        (alias,) = account_aliases([account], self._hasher)
        return [self._erased.digest(account), self._erased.alias_digest(int(alias[0]), int(alias[1]))]

    def take_event(self, row: JournalRow, event: LiveEvent) -> None:
        """Take in a row that is an event."""
        name = "accounts" if self._lists(event.event_type) else "events"
        self._counts[name] += 1
        known = event.event_type in self._types or self._any_type
        account = self._nodes.number(ACCOUNT, event.account, declared=name == "accounts")
        content = hashlib.blake2b(encode(event), digest_size=16).digest()
        own: tuple[int, float] | None = None
        others: list[tuple[str, int, float]] = []
        for type_, kind, key, value in event.interactions:
            reason = self._unfit(type_, kind, value)
            if reason is None:
                # Where edges only stand for themselves, a value says nothing, in a file too.
                stated = 1.0 if self._value_of(type_) == "one" else value
                end = (self._nodes.number(self._kinds[kind], key), stated)
                if known and own is None and type_ == event.event_type:
                    own = end
                else:
                    others.append((type_, *end))
                continue
            self._counts["interactions"] += 1
            self._out.setdefault(("interactions", reason), []).append(row.seq)
        if known:
            at = self._add(name, row, event, event.event_type, account, own or (-1, 1.0), 0, content)
            self._add_identifiers(name, row, event, at)
            self._add_attributes(name, row, event)
        else:
            self._out.setdefault((name, "type_unknown"), []).append(row.seq)
        for ordinal, (type_, node, value) in enumerate(others, 1):
            self._counts["interactions"] += 1
            self._add("interactions", row, event, type_, account, (node, value), ordinal, content)

    def _lists(self, event_type: str) -> bool:
        return event_type in self._listing or (self._any_listing and event_type not in self._types)

    def _value_of(self, type_: str) -> str | None:
        return self._values.get(type_) or (None if type_ in self._types else self._any_value)

    def _unfit(self, type_: str, kind: str, value: float) -> str | None:
        if self._value_of(type_) is None:
            return "type_unknown"
        if kind not in self._kinds:
            return "kind_unknown"
        return None if abs(value) <= _LARGEST else "amount_unreadable"

    def _add(
        self,
        name: str,
        row: JournalRow,
        event: LiveEvent,
        type_: str,
        account: int,
        end: tuple[int, float],
        ordinal: int,
        content: bytes,
    ) -> int:
        found = self._rows[name]
        time_ms = event.time_ms if self._plan.spec.timed else NO_TIME
        code = found.types.setdefault(type_, len(found.types))
        found.rows.append((row.seq, time_ms, row.received_ms, code, account, *end))
        found.event_ids.append(event.event_id)
        found.of_types.append(event.event_type)
        found.ordinals.append(ordinal)
        found.contents.append(content)
        return len(found.rows) - 1

    def _add_identifiers(self, name: str, row: JournalRow, event: LiveEvent, at: int) -> None:
        for kind, key in event.identifiers:
            ordinal = self._kinds.get(kind)
            if ordinal in self._used_kinds:
                self._rows[name].used.append((at, self._nodes.number(ordinal, key)))
            else:
                self._cell(name, kind, "identifier_unknown", row)

    def _add_attributes(self, name: str, row: JournalRow, event: LiveEvent) -> None:
        if name == "accounts":
            said = event.attributes
            values = (
                _read(kind, said[one]) if one in said else None for one, kind in self._attributes.items()
            )
            self._rows[name].attributes.append(tuple(values))
        for attribute, value in event.attributes.items():
            if attribute not in self._attributes:
                self._cell(name, attribute, "attribute_unknown", row)
            elif name != "accounts":
                self._cell(name, attribute, "attribute_elsewhere", row)
            elif _read(self._attributes[attribute], value) is None:
                self._cell(name, attribute, "attribute_unreadable", row)

    def _cell(self, name: str, column: str, reason: str, row: JournalRow) -> None:
        # A name that the spec does not know was made up by a client.
        self._cells.setdefault((name, column[:_LONGEST_NAME], reason), []).append(row.seq)

    def _quarantine(self) -> pl.DataFrame:
        noted = [
            Notes(JOURNAL, name, "").rows(np.array(rows), reason)
            for (name, reason), rows in self._out.items()
        ]
        noted += [
            Notes(JOURNAL, name, "").cells(np.array(rows), column, reason)
            for (name, column, reason), rows in self._cells.items()
        ]
        return gathered(noted)


def _read(kind: str, value: float | str | bool) -> float | str | None:
    """An attribute as the features take it, None if it is of another type."""
    if kind == "category":
        return value if isinstance(value, str) else None
    if isinstance(value, str) or (kind == "number" and isinstance(value, bool)):
        return None
    return float(value) if kind == "number" or value in (0, 1) else None
